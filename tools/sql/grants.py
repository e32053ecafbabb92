"""The rights a role needs so that a policy holds in the database itself, whatever SQL reaches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...knowledge.errors import InputError

if TYPE_CHECKING:
    from .catalogue import Catalogue, Table
    from .policy import Policy

_HEAD = """-- A role that reads what the policy allows and nothing else. Columns that are masked can be read by it:
-- a query of racto has to see whether they are null, and shows nothing more of them."""


def grant_script(catalogue: Catalogue, policy: Policy, role: str, *, database: str = "") -> str:
    """SQL that makes a role with no rights but to read the tables and columns a policy allows; an administrator runs it. It can be run again.

    The role gets no password: the script says how to set one. Rights that everybody has (`PUBLIC`) are not taken away; `racto doctor` names those that
    matter.

    :param catalogue: Everything that is in the database, unfiltered.
    :param role: The name of the role or account.
    :param database: PostgreSQL only: its name, for the right to connect.
    :raises InputError: the database has no rights of roles (SQLite, DuckDB), or the name is none.
    """
    if not role or not role.isprintable():
        raise InputError("This is no name of a role.", "Give one without line breaks.")
    if catalogue.dialect == "postgres":
        lines = _postgres(catalogue, policy, role, database)
    elif catalogue.dialect == "mysql":
        lines = _mysql(catalogue, policy, role)
    else:
        raise InputError(f"{catalogue.dialect} has no roles to grant rights to.", "Use PostgreSQL, MariaDB or MySQL.")
    return "\n".join([_HEAD, *lines, ""])


def _postgres(catalogue: Catalogue, policy: Policy, role: str, database: str) -> list[str]:
    name = _quoted(role)
    literal = role.replace("'", "''")
    tables = catalogue.visible(policy).tables
    lines = [
        f"-- Then: ALTER ROLE {name} PASSWORD '…';",
        "DO $racto$ BEGIN",
        f"  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{literal}') THEN CREATE ROLE {name}; END IF;",
        "END $racto$;",
        f"ALTER ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;",
        f"ALTER ROLE {name} SET default_transaction_read_only = on;",
        f"ALTER ROLE {name} SET statement_timeout = '60s';",
    ]
    if database:
        lines.append(f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {name};")
    lines += [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {_quoted(schema)} FROM {name};"
        for schema in sorted({table.schema for table in catalogue.tables})
    ]
    # Rights to columns are apart from those to the table, and stay when a policy becomes narrower.
    lines += [
        f"REVOKE ALL ({_listed(table, _quoted)}) ON {_quoted(table.schema, table.name)} FROM {name};"
        for table in catalogue.tables
        if table.columns
    ]
    lines += [
        f"GRANT USAGE ON SCHEMA {_quoted(schema)} TO {name};" for schema in sorted({one.schema for one in tables})
    ]
    lines += [
        f"GRANT SELECT ({_listed(table, _quoted)}) ON {_quoted(table.schema, table.name)} TO {name};"
        for table in tables
        if table.columns
    ]
    return lines


def _mysql(catalogue: Catalogue, policy: Policy, role: str) -> list[str]:
    account = "'" + role.replace("\\", "\\\\").replace("'", "''") + "'@'%'"
    lines = [
        f"-- Then: ALTER USER {account} IDENTIFIED BY '…';",
        f"CREATE USER IF NOT EXISTS {account};",
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account};",
    ]
    lines += [
        f"GRANT SELECT ({_listed(table, _ticked)}) ON {_ticked(table.schema, table.name)} TO {account};"
        for table in catalogue.visible(policy).tables
        if table.columns
    ]
    return lines


def _listed(table: Table, quoted: Callable[[str], str]) -> str:
    return ", ".join(quoted(column.name) for column in table.columns)


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _ticked(*names: str) -> str:
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)
