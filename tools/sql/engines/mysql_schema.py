"""What there is in a MariaDB or MySQL database, in four queries whatever its size, and what an account could do that it should not."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..catalogue import Catalogue, Column, ForeignKey, Index, Table

if TYPE_CHECKING:
    from ..policy import Policy

_SAMPLE_SECONDS = 5.0
_SAMPLE_ROWS = 1_000
_SAMPLE_LENGTH = 100
_UNPRINTABLE = re.compile(r"^bit|blob|binary|geometry|point|polygon|linestring", re.IGNORECASE)

_TABLES = """
SELECT TABLE_NAME, TABLE_TYPE, TABLE_COMMENT FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME
"""
_COUNTS = "SELECT TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
_COLUMNS = """
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'YES', COLUMN_COMMENT, PRIVILEGES
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, ORDINAL_POSITION
"""
_INDEXES = """
SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
"""
_KEYS = """
SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION
"""
_FINGERPRINT = """
SELECT CURRENT_USER(), COUNT(*),
       SUM(CRC32(CONCAT_WS('|', TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_KEY, COLUMN_COMMENT, PRIVILEGES))),
       SUM(CAST(CONV(LEFT(MD5(CONCAT_WS('|', TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_KEY, COLUMN_COMMENT, PRIVILEGES)), 12), 16, 10) AS UNSIGNED))
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()
"""

_DANGEROUS = ("FILE", "SUPER", "ALL PRIVILEGES", "PROCESS", "SHUTDOWN", "CREATE USER", "RELOAD")
_CHANGING = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "EXECUTE", "TRIGGER", "EVENT")


def catalogue(cursor: Any, database: str, policy: Policy, *, row_counts: bool, samples: int) -> Catalogue:
    """See `Engine.catalogue`."""
    print_ = fingerprint(cursor)
    found = _all(cursor, _TABLES)
    columns, indexed, keys = (_grouped(_all(cursor, query)) for query in (_COLUMNS, _INDEXES, _KEYS))
    counts = dict(_all(cursor, _COUNTS)) if row_counts else {}
    until = monotonic() + _SAMPLE_SECONDS
    tables = []
    for name, kind, comment in found:
        described = [
            Column(column, kind_, bool(nullable), said or "")
            for column, kind_, nullable, said, rights in columns[name]
            if "select" in rights.lower()
        ]
        if not described:
            continue
        # A view may show under another name what nobody may see.
        if samples and kind != "VIEW" and policy.allows(database, name) and monotonic() < until:
            described = _sampled(cursor, database, name, described, policy, samples)
        indexes = _indexes(indexed[name])
        tables.append(
            Table(
                name,
                tuple(described),
                database,
                "view" if kind == "VIEW" else "table",
                primary_key=next((one.columns for one in indexes if one.name == "PRIMARY"), ()),
                foreign_keys=_foreign(keys[name], database),
                indexes=tuple(one for one in indexes if one.name != "PRIMARY"),
                comment="" if kind == "VIEW" else comment or "",  # of a view MariaDB says only that it is one
                row_count=counts.get(name),
            )
        )
    return Catalogue("mysql", tuple(tables), database, print_)


def fingerprint(cursor: Any) -> str:
    """Of all that is said about columns."""
    return "-".join(str(value) for row in _all(cursor, _FINGERPRINT) for value in row)


def risks(cursor: Any) -> list[str]:
    """See `MySQLEngine.risks`."""
    granted = [row[0] for row in _all(cursor, "SHOW GRANTS")]
    everywhere = {
        right.strip()
        for line in granted
        for right in re.findall(r"^GRANT (.*?) ON \*\.\*", line)
        for right in right.split(",")
    }
    found = []
    if "ALL PRIVILEGES" in everywhere or "FILE" in everywhere:
        found.append("The account may read and write files of the server (FILE).")
    found += [
        f"The account has the right {right} on the whole server."
        for right in _DANGEROUS
        if right in everywhere - {"FILE"}
    ]
    for line in granted:
        rights = re.match(r"GRANT (.*?) ON (.*?) TO ", line)
        if rights and not {"ALL PRIVILEGES", *_CHANGING}.isdisjoint(right.strip() for right in rights[1].split(",")):
            found.append(
                f"The account may change {rights[2].replace('`', '')}; racto only reads, but the account can do more."
            )
    return found


def _all(cursor: Any, query: str) -> list[tuple[Any, ...]]:
    cursor.execute(query)
    return list(cursor.fetchall())


def _grouped(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[tuple[Any, ...]]]:
    """Rows by their first value, without it."""
    found = defaultdict(list)
    for first, *rest in rows:
        found[first].append(tuple(rest))
    return found


def _indexes(rows: list[tuple[Any, ...]]) -> list[Index]:
    found = defaultdict(list)
    unique = {}
    for name, repeated, column in rows:
        found[name].append(column or "(expression)")
        unique[name] = not repeated
    return [Index(name, tuple(columns), unique[name]) for name, columns in found.items()]


def _foreign(rows: list[tuple[Any, ...]], database: str) -> tuple[ForeignKey, ...]:
    found = defaultdict(list)
    for name, column, schema, table, reference in rows:
        found[name, table if schema == database else f"{schema}.{table}"].append((column, reference))
    return tuple(
        ForeignKey(tuple(column for column, _ in pairs), table, tuple(reference for _, reference in pairs))
        for (_, table), pairs in found.items()
    )


def _name(name: str) -> str:
    """A name in SQL."""
    return "`" + name.replace("`", "``") + "`"


def _sampled(
    cursor: Any, database: str, name: str, columns: list[Column], policy: Policy, samples: int
) -> list[Column]:
    """The columns with some of the values among the first rows."""
    shown = [
        column
        for column in columns
        if not _UNPRINTABLE.search(column.type)
        and not policy.blocks(database, name, column.name)
        and not policy.masks(database, name, column.name)
    ]
    if not shown:
        return columns
    picked = ", ".join(f"LEFT(CAST({_name(one.name)} AS CHAR), {_SAMPLE_LENGTH})" for one in shown)
    try:
        rows = _all(cursor, f"SELECT {picked} FROM {_name(database)}.{_name(name)} LIMIT {_SAMPLE_ROWS}")  # noqa: S608  # names from the system tables, quoted
    except Exception:  # noqa: BLE001  # which errors there are is up to the driver, and a user's engine has its own
        return columns
    values = (
        {
            one.name: tuple(sorted({value for value in among if value is not None})[:samples])
            for one, among in zip(shown, zip(*rows, strict=True), strict=True)
        }
        if rows
        else {}
    )
    return [replace(column, samples=values.get(column.name, ())) for column in columns]
