"""Where a database is, read from a connection string as SQLAlchemy writes them, or from its parts."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from ...knowledge.errors import ConfigError
from .engines import ALIASES, ENGINES, Target

_EXAMPLES = (
    "Write it like postgresql://user:password@host:5432/database, mysql://user:password@host/database, "
    "sqlite:////folder/file.db or duckdb:///file.duckdb."
)
_FILES = frozenset({"sqlite", "duckdb"})
_MEMORY = ":memory:"


def target_of(connection_string: str) -> Target:
    """The target a SQLAlchemy URI names. A driver in it (`postgresql+psycopg2`) is left out, racto has its own.

    A file after three slashes is relative to the current folder, after four absolute; none is a database in memory. Messages never show the string:
    it may hold a password.

    :raises ConfigError: it is none, or of a database racto cannot ask.
    """
    text = connection_string.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ConfigError("This is no connection string.", _EXAMPLES)
    engine = _engine(scheme)
    try:
        return _file(engine, rest) if engine in _FILES else _server(engine, rest)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        # What urllib says may quote the password.
        raise ConfigError("The host or port of the connection string cannot be read.", _EXAMPLES) from None


def target_of_parts(
    *,
    host: str = "localhost",
    port: int | None = 5432,
    database: str | None = None,
    username: str | None = None,
    password: str | None = None,
    driver: str = "postgresql",
) -> Target:
    """The target its parts name.

    :param port: PostgreSQL's by default; with another `driver` that number stands for the usual port of that database.
    :param database: Of a file database, its path.
    :param driver: `postgresql`, `mysql`, `mariadb`, `sqlite` or `duckdb`; what follows a plus sign is left out.
    :raises ConfigError: there is no such database, or a part is missing.
    """
    engine = _engine(driver)
    if engine in _FILES:
        return Target(engine, database or _MEMORY)
    if not database:
        raise ConfigError("The name of the database is missing.", "Give `database`, or a connection string.")
    if engine == "mysql" and port == 5432:
        port = None
    return Target(engine, database, host, port, username or "", password or "")


def _engine(scheme: str) -> str:
    name = scheme.lower().partition("+")[0]
    name = ALIASES.get(name, name)
    if name not in ENGINES:
        # The scheme alone: what comes before a colon in a mistyped string may be a password.
        shown = f" {name!r}" if name.isidentifier() and len(name) < 20 else ""
        raise ConfigError(f"There is no database engine{shown} here.", _EXAMPLES)
    return name


def _file(engine: str, rest: str) -> Target:
    place, _, query = rest.partition("?")
    if place and not place.startswith("/"):
        raise ConfigError(
            f"A file comes after three slashes, or four when its path is absolute: {engine}:///file.", _EXAMPLES
        )
    options = _options(query)
    path = unquote(place[1:])
    if path.startswith("file:"):
        raise ConfigError("URIs of SQLite are not read as a file.", f"Write the path itself: {engine}:///file.db.")
    return Target(engine, path or _MEMORY, options=options)


def _server(engine: str, rest: str) -> Target:
    # The password may hold what separates other parts: the last @ before the path's slash ends it, as in SQLAlchemy.
    before, slash, after = rest.partition("/")
    if "@" in after.partition("?")[0]:
        raise ConfigError(
            "A name or password in the connection string has a slash in it.", "Write @ as %40, / as %2F and : as %3A."
        )
    account, _, address = before.rpartition("@")
    username, _, password = account.partition(":")
    database, _, query = after.partition("?") if slash else ("", "", "")
    if not slash:
        address, _, query = address.partition("?")
    parts = urlsplit(f"//{address}")
    if "," in address:
        raise ConfigError("One host is read, and there are several.", _EXAMPLES)
    options = _options(query)
    host = options.pop("host", "") or unquote(parts.hostname or "")
    port = parts.port or (int(options.pop("port")) if "port" in options else None)
    return Target(
        engine,
        unquote(database) or options.pop("dbname", "") or options.pop("database", ""),
        host,
        port,
        unquote(username) or options.pop("user", ""),
        unquote(password) or options.pop("password", ""),
        options=options,
    )


def _options(query: str) -> dict[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True))
