"""Names as a query writes them, and text out of a database as a model may read it."""

from __future__ import annotations

import re
import unicodedata

from .catalogue import Catalogue, Table

# Found by asking SQLite 3.40, DuckDB 2.0, PostgreSQL 16, MariaDB 10.11 and sqlglot 30 for a column and a table of each keyword any of them has.
_WORDS = """
add all alter analyse analyze and anti any array as asc asof asymmetric at authorization autoincrement between
binary both by case cast check collate collation column commit concurrently constraint create cross cube
current_catalog current_date current_role current_schema current_time current_timestamp current_user default
deferrable delete desc describe distinct do drop else end escape except exists false fetch for force foreign freeze
from full glob grant group having if ilike in index initially inner insert install intersect into is isnull join
lambda lateral leading left like limit localtime localtimestamp lock map natural not nothing notnull null offset on
only or order outer overlaps partitioned_by pivot pivot_longer pivot_wider placing positional primary qualify raise
references regexp returning revoke right rlike rollback rollup select semi session_user set show similar some
summarize symmetric system_user table tablesample then to trailing transaction true uncache union unique unpack
unpivot update user using values variadic verbose when where window with xor
"""
_MYSQL_WORDS = """
_ascii _binary _eucjpms _euckr _gbk _greek _hebrew _macce _macroman _sjis _ujis accessible asensitive before bigint
blob call cascade change char character charset condition continue convert cume_dist cursor databases day_hour
day_microsecond day_minute day_second dec decimal declare delayed delete_domain_id dense_rank deterministic
distinctrow div do_domain_ids double dual each elseif empty enclosed escaped exit explain first_value float float4
float8 fulltext function generated get grouping groups high_priority hour_microsecond hour_minute hour_second ignore
ignore_domain_ids infile inout insensitive int int1 int2 int3 int4 int8 integer interval iterate json_table key keys
kill lag last_value lead leave linear lines load long longblob longtext loop low_priority master_demote_to_replica
master_demote_to_slave master_ssl_verify_server_cert match maxvalue mediumblob mediumint mediumtext middleint
minute_microsecond minute_second mod modifies no_write_to_binlog nth_value ntile numeric of optimize optimizer_costs
optionally out outfile over page_checksum parallel parse_vcol_expr partition percent_rank portion precision
procedure purge range rank read read_write reads real recursive ref_system_id release rename repeat replace require
resignal restrict return row row_number rows schemas second_microsecond sensitive separator signal smallint spatial
specific sql sql_big_result sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache sql_small_result
sqlexception sqlstate sqlwarning ssl starting stats_auto_recalc stats_persistent stats_sample_pages stored
straight_join system terminated tinyblob tinyint tinytext trigger undo unlock unsigned usage use utc_date utc_time
utc_timestamp varbinary varchar varcharacter varying virtual while write year_month zerofill
"""  # with what MySQL 8 reserved besides
_RESERVED = frozenset(_WORDS.split())
_RESERVED_IN_MYSQL = _RESERVED.union(_MYSQL_WORDS.split())
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_IN_POSTGRES = re.compile(r"[a-z_][a-z0-9_]*")  # it folds what is not quoted
_MARKS = str.maketrans({"«": "‹", "»": "›"})
_SELECTORS = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)  # invisible, and long enough a row of them spells a text

LONGEST_NAME = 128
"""Characters of a name that are shown; databases allow 63 or 64, SQLite and DuckDB any number."""


def quoted(name: str, dialect: str) -> str:
    """A name as a query writes it: as it is where that is understood, else in the quotes of the dialect.

    :param dialect: `sqlite`, `postgres`, `mysql` or `duckdb`.
    """
    plain = _PLAIN_IN_POSTGRES if dialect == "postgres" else _PLAIN
    reserved = _RESERVED_IN_MYSQL if dialect == "mysql" else _RESERVED
    if plain.fullmatch(name) and name.lower() not in reserved:
        return name
    mark = "`" if dialect == "mysql" else '"'
    shown = name if name.isprintable() and len(name) <= LONGEST_NAME else flat(name, LONGEST_NAME)
    return f"{mark}{shown.replace(mark, 2 * mark)}{mark}"


def named(table: Table, catalogue: Catalogue) -> str:
    """A table as a query names it: with its schema, where that is not the one that is looked in anyway."""
    name = quoted(table.name, catalogue.dialect)
    if table.schema in ("", catalogue.default_schema):
        return name
    return f"{quoted(table.schema, catalogue.dialect)}.{name}"


def seen(text: str) -> str:
    """A text without the characters nobody sees: controls, marks of direction, tags."""
    if text.isascii() and text.isprintable():
        return text
    shown = (one for one in text if one.isspace() or unicodedata.category(one)[0] != "C")
    return _SELECTORS.sub("", "".join(shown))


def flat(text: str, longest: int) -> str:
    """A text on one line, without anything invisible, and not too long.

    :param longest: Characters; what is longer ends with `…`.
    """
    # What is far behind the cut need not be cleaned.
    text = " ".join(seen(text[: 4 * longest]).split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def set_off(text: str, longest: int) -> str:
    """A text out of a database between `«` and `»`, which it cannot hold itself."""
    return f"«{flat(text, longest).translate(_MARKS)}»"
