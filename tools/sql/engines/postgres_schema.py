"""What there is in a PostgreSQL database, in four queries whatever its size, and what a role could do that it should not."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..catalogue import Catalogue, Column, ForeignKey, Index, Table

if TYPE_CHECKING:
    from ..policy import Policy

_SAMPLE_SECONDS = 5.0
_SAMPLE_ROWS = 1_000
_SAMPLE_LENGTH = 100
_COUNTED_BYTES = 64 * 2**20
"""A table that was never analysed is counted when it is not larger."""
_LABELS = 24

_SEEN = """
SELECT c.* FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition
"""
_MINE = f"""
{_SEEN} AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
_TABLES = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text, pg_catalog.obj_description(c.oid, 'pg_class')
FROM ({_MINE}) c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY n.nspname, c.relname
"""  # noqa: S608  # its parts are ours
_COLUMNS = f"""
SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
       pg_catalog.col_description(a.attrelid, a.attnum),
       CASE WHEN t.typtype = 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
                                            WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT {_LABELS + 1}) END
FROM pg_catalog.pg_attribute a JOIN ({_MINE}) c ON c.oid = a.attrelid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attrelid, a.attnum
"""  # noqa: S608  # its parts are ours
_NAMED = """ARRAY(SELECT a.attname::text FROM pg_catalog.unnest({keys}) WITH ORDINALITY AS k (number, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = {table} AND a.attnum = k.number ORDER BY k.place)"""
_KEYS = f"""
SELECT o.conrelid, o.contype::text, {_NAMED.format(keys="o.conkey", table="o.conrelid")},
       n.nspname, f.relname, {_NAMED.format(keys="o.confkey", table="o.confrelid")}
FROM pg_catalog.pg_constraint o JOIN ({_MINE}) c ON c.oid = o.conrelid
LEFT JOIN pg_catalog.pg_class f ON f.oid = o.confrelid LEFT JOIN pg_catalog.pg_namespace n ON n.oid = f.relnamespace
WHERE o.contype IN ('p', 'f') AND o.conparentid = 0 ORDER BY o.conrelid, o.conname
"""  # noqa: S608  # its parts are ours
_INDEXES = f"""
SELECT i.indrelid, x.relname, i.indisunique,
       ARRAY(SELECT COALESCE(a.attname::text, pg_catalog.pg_get_indexdef(i.indexrelid, k.place::int, true))
             FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND a.attnum > 0
             WHERE k.place <= i.indnkeyatts ORDER BY k.place)
FROM pg_catalog.pg_index i JOIN ({_MINE}) c ON c.oid = i.indrelid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE NOT i.indisprimary AND i.indisvalid ORDER BY i.indrelid, x.relname
"""  # noqa: S608  # its parts are ours
_COUNTS = f"""
SELECT c.oid, CASE WHEN c.relkind <> 'p' THEN c.reltuples::bigint
              ELSE (SELECT CASE WHEN min(l.reltuples) >= 0 THEN sum(l.reltuples)::bigint ELSE -1 END
                    FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE p.isleaf) END,
       CASE WHEN c.relkind <> 'p' THEN pg_catalog.pg_relation_size(c.oid)
            ELSE (SELECT sum(pg_catalog.pg_relation_size(p.relid)) FROM pg_catalog.pg_partition_tree(c.oid) p) END,
       c.relpages = 0
FROM ({_MINE}) c WHERE c.relkind IN ('r', 'm', 'p')
"""  # noqa: S608  # its parts are ours
_FINGERPRINT = f"""
WITH seen AS MATERIALIZED (SELECT s.oid, s.xmin, s.relnamespace FROM ({_SEEN.replace("c.*", "c.oid, c.xmin, c.relnamespace")}) s)
SELECT pg_catalog.md5(pg_catalog.concat_ws(' ', current_user,
  (SELECT pg_catalog.sum(pg_catalog.hashtextextended(oid::text || ' ' || xmin::text, 0)) FROM seen),
  (SELECT pg_catalog.sum(pg_catalog.hashtextextended(a.attrelid::text || ' ' || a.attnum::text || ' ' || a.xmin::text, 0))
   FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND a.attrelid IN (SELECT oid FROM seen)),
  (SELECT pg_catalog.sum(pg_catalog.hashtextextended(o.oid::text || ' ' || o.xmin::text, 0))
   FROM pg_catalog.pg_constraint o WHERE o.conrelid IN (SELECT oid FROM seen)),
  (SELECT pg_catalog.sum(pg_catalog.hashtextextended(i.indexrelid::text || ' ' || i.xmin::text, 0))
   FROM pg_catalog.pg_index i WHERE i.indrelid IN (SELECT oid FROM seen)),
  (SELECT pg_catalog.sum(pg_catalog.hashtextextended(d.objoid::text || ' ' || d.objsubid::text || ' ' || d.xmin::text, 0))
   FROM pg_catalog.pg_description d WHERE d.objoid IN (SELECT oid FROM seen)),
  (SELECT pg_catalog.sum(pg_catalog.hashtextextended(n.oid::text || ' ' || n.xmin::text, 0)) FROM pg_catalog.pg_namespace n),
  (SELECT pg_catalog.max(e.xmin::text::bigint) FROM pg_catalog.pg_enum e)))
"""  # noqa: S608  # its parts are ours

_RISKS = """
SELECT rolsuper, rolbypassrls AND NOT rolsuper,
  ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r
        WHERE r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_signal_backend', 'pg_write_all_data')
        AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
   AND (pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER')
        OR pg_catalog.has_table_privilege(session_user, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))),
  ARRAY(SELECT DISTINCT e.extname::text FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_depend d ON d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::regclass
        WHERE e.extname IN ('dblink', 'adminpack', 'file_fdw', 'pg_background', 'http')
        AND pg_catalog.has_function_privilege(session_user, d.objid, 'EXECUTE')),
  ARRAY(SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE NOT l.lanpltrusted AND l.lanname NOT IN ('internal', 'c')
        AND pg_catalog.has_function_privilege(session_user, p.oid, 'EXECUTE') ORDER BY 1 LIMIT 5)
FROM pg_catalog.pg_roles WHERE rolname = session_user
"""

_SHORT = (
    (re.compile(r"^(time(?:stamp)?)(\(\d\))? with time zone"), r"\1tz\2"),
    (re.compile(r"^(time(?:stamp)?)(\(\d\))? without time zone"), r"\1\2"),
    (re.compile(r"^character varying"), "varchar"),
    (re.compile(r"^character\b"), "char"),
    (re.compile(r"^bit varying"), "varbit"),
)


def catalogue(cursor: Any, default_schema: str, policy: Policy, *, row_counts: bool, samples: int) -> Catalogue:
    """See `Engine.catalogue`."""
    print_ = fingerprint(cursor)
    columns, keys, indexes = (_grouped(cursor.execute(query)) for query in (_COLUMNS, _KEYS, _INDEXES))
    found = cursor.execute(_TABLES).fetchall()
    counts = _counts(cursor, {row[0]: _name(row[1], row[2]) for row in found}) if row_counts else {}
    until = monotonic() + _SAMPLE_SECONDS
    tables = []
    for oid, schema, name, kind, comment in found:
        described = [
            Column(column, _short(kind_), nullable, _comment(said, labels))
            for column, kind_, nullable, said, labels in columns[oid]
        ]
        # A view may show under another name what nobody may see.
        if samples and kind not in "vm" and policy.allows(schema, name) and monotonic() < until:
            described = _sampled(cursor, schema, name, described, policy, samples)
        tables.append(
            Table(
                name,
                tuple(described),
                schema,
                "view" if kind in "vm" else "table",
                primary_key=next((tuple(row[1]) for row in keys[oid] if row[0] == "p"), ()),
                foreign_keys=tuple(
                    ForeignKey(tuple(own), other if there == schema else f"{there}.{other}", tuple(theirs))
                    for kind_, own, there, other, theirs in keys[oid]
                    if kind_ == "f"
                ),
                indexes=tuple(Index(index, tuple(over), unique) for index, unique, over in indexes[oid]),
                comment=comment or "",
                row_count=counts.get(oid),
            )
        )
    return Catalogue("postgres", tuple(tables), default_schema, print_)


def fingerprint(cursor: Any) -> str:
    """Of what the system tables say: which of their rows there are, and which transactions wrote them."""
    return str(cursor.execute(_FINGERPRINT).fetchone()[0])


def risks(cursor: Any) -> list[str]:
    """See `PostgresEngine.risks`."""
    superuser, bypasses, roles, owned, extensions, functions = cursor.execute(_RISKS).fetchone()
    if superuser:
        return ["The role is a superuser: it may read and write files of the server and run programs there."]
    found = [f"The role is a member of {role}." for role in roles]
    if bypasses:
        found.append("The role passes by the policies of rows (BYPASSRLS).")
    if owned:
        found.append(
            f"The role owns or may change {owned} tables or views; racto only reads, but the role can do more."
        )
    found += [
        f"The role may call functions of the extension {name}, which reach outside the database." for name in extensions
    ]
    found += [
        f"The role may call {name}, written in a language that can reach outside the database." for name in functions
    ]
    return found


def _grouped(rows: Iterable[tuple[Any, ...]]) -> defaultdict[int, list[tuple[Any, ...]]]:
    """Rows by their first value, without it."""
    found = defaultdict(list)
    for first, *rest in rows:
        found[first].append(tuple(rest))
    return found


def _short(kind: str) -> str:
    """A type as a person writes it."""
    for pattern, instead in _SHORT:
        kind = pattern.sub(instead, kind)
    return kind


def _comment(said: str | None, labels: list[str] | None) -> str:
    listed = ""
    if labels:
        listed = f"one of {', '.join(labels[:_LABELS])}{', …' if len(labels) > _LABELS else ''}"
    return "; ".join(filter(None, (said, listed)))


def _name(*parts: str) -> str:
    """A name in SQL."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _counts(cursor: Any, names: dict[int, str]) -> dict[int, int]:
    """Rows as PostgreSQL estimates them; small tables it never looked at are counted."""
    counts = {}
    for oid, estimate, size, unseen in cursor.execute(_COUNTS).fetchall():
        if estimate is not None and (estimate > 0 or (estimate == 0 and not unseen)):
            counts[oid] = int(estimate)
        elif int(size or 0) <= _COUNTED_BYTES:
            counted = _tried(cursor, f"SELECT count(*) FROM {names[oid]}")  # noqa: S608  # a name from the system tables, quoted
            if counted:
                counts[oid] = int(counted[0])
    return counts


def _sampled(cursor: Any, schema: str, name: str, columns: list[Column], policy: Policy, samples: int) -> list[Column]:
    """The columns with some of the values among the first rows."""
    from dataclasses import replace

    shown = [
        column
        for column in columns
        if column.type != "bytea"
        and not policy.blocks(schema, name, column.name)
        and not policy.masks(schema, name, column.name)
    ]
    if not shown:
        return columns
    lists = ", ".join(
        f"ARRAY(SELECT DISTINCT pg_catalog.left({_name(one.name)}::text, {_SAMPLE_LENGTH}) FROM few"  # noqa: S608  # names from the system tables, quoted
        f" WHERE {_name(one.name)} IS NOT NULL ORDER BY 1 LIMIT {samples})"
        for one in shown
    )
    few = f"SELECT {', '.join(_name(one.name) for one in shown)} FROM {_name(schema, name)} LIMIT {_SAMPLE_ROWS}"  # noqa: S608  # names from the system tables, quoted
    found = _tried(cursor, f"WITH few AS MATERIALIZED ({few}) SELECT {lists}")
    if found is None:
        return columns
    values = dict(zip((one.name for one in shown), found, strict=True))
    return [replace(column, samples=tuple(values.get(column.name, ()))) for column in columns]


def _tried(cursor: Any, query: str) -> tuple[Any, ...] | None:
    """The first row of a query that may fail or take long: of a foreign table that is away."""
    cursor.execute("SAVEPOINT racto")
    cursor.execute("SET LOCAL statement_timeout = 1000")
    try:
        row: tuple[Any, ...] | None = cursor.execute(query).fetchone()
    except Exception:  # noqa: BLE001  # which errors there are is up to the driver, and a user's engine has its own
        row = None
    cursor.execute("ROLLBACK TO SAVEPOINT racto")
    return row
