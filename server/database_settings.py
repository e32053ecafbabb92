"""The settings of one database that may be asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


def _without_password(url: str) -> str:
    """A connection string is shown by `racto config`, logged and copied into configuration files."""
    # A password may hold what else separates parts; a port is none.
    if re.search(r"//[^@/\[]*:(?!\d+(?:[/?#]|$))[^@]*@", url) or re.search(
        r"[?&](?:password|passwd|sslpassword)=", url, re.IGNORECASE
    ):
        raise ValueError("a connection string holds no password; keep it with `racto keys set NAME_PASSWORD`")
    return url


def _database_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a database is called by lower-case letters, digits and _, at most 31")
    return name


class DatabaseSettings(BaseModel):
    """One database that may be asked: a table `[sql_databases.NAME]` of the config file. What may be read can be narrowed down to columns."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_without_password)] = Field(
        default="",
        description="postgresql://user@host/db, mysql://user@host/db, or the path of a SQLite, DuckDB, CSV, JSON or Parquet file; "
        "the password comes from the key NAME_PASSWORD.",
    )
    files: dict[str, str] = Field(
        default={},
        description="Instead of a url: tables and the CSV, JSON or Parquet files they are, as paths or patterns.",
    )
    description: str = Field(default="", description="What is in it, for whoever chooses between databases.")
    semantics: Path | None = Field(
        default=None, description="YAML file that says what tables, columns, metrics and joins mean."
    )
    allowed_tables: tuple[str, ...] | None = Field(default=None, description="What may be read; by default everything.")
    blocked_columns: tuple[str, ...] = Field(default=(), description="`column` or `table.column`: nobody sees them.")
    mask_columns: tuple[str, ...] = Field(default=(), description="Likewise: their values are hidden.")
    row_counts: bool = Field(default=False, description="Whether the schema says how many rows a table has.")
    samples: int = Field(default=0, ge=0, le=50, description="Values of each column the schema shows.")
    max_rows: int = Field(default=10_000, ge=1, le=1_000_000, description="Rows of a result.")
    seconds: float = Field(default=30.0, gt=0, le=600, description="Time of a query.")
    result_mb: int = Field(default=64, ge=1, le=1024, description="Size of a result.")
    memory_mb: int = Field(default=512, ge=64, description="Memory of the process that runs queries.")

    @model_validator(mode="after")
    def _somewhere(self) -> DatabaseSettings:
        if bool(self.url) == bool(self.files):
            raise ValueError("give either url or files")
        return self


def tables(value: object) -> object:
    """`name=address,name=address`, as the environment has it, and `name = "address"` of a file, as tables."""
    if isinstance(value, str):
        pairs = (part.partition("=") for part in value.split(",") if part.strip())
        value = {name.strip(): address.strip() for name, _, address in pairs}
    if not isinstance(value, Mapping):
        return value
    return {name: {"url": each} if isinstance(each, str) else each for name, each in value.items()}


DatabaseName = Annotated[str, AfterValidator(_database_name)]


def anchored(value: Any, folder: Path) -> Any:
    """Relative paths of a config file are meant from where the file lies."""
    if not isinstance(value, Mapping):
        return value
    return {name: _anchored(one, folder) for name, one in tables(value).items()}  # type: ignore[attr-defined]  # a mapping, as it was one


def _anchored(table: Any, folder: Path) -> Any:
    if not isinstance(table, Mapping):
        return table
    moved = dict(table)
    for name in ("url", "semantics"):
        if isinstance(moved.get(name), str) and moved[name] and "://" not in moved[name]:
            moved[name] = str(folder / Path(moved[name]).expanduser())
    if isinstance(moved.get("files"), Mapping):
        moved["files"] = {
            name: str(folder / Path(path).expanduser()) if isinstance(path, str) else path
            for name, path in moved["files"].items()
        }
    return moved
