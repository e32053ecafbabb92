"""What there is in a database: tables, columns, keys, indexes, comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from .policy import Policy


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    :param type: As the database names it: `VARCHAR(20)`.
    :param masked: Its values are not shown.
    :param samples: Some of its values as text, when they were asked for and may be shown.
    """

    name: str
    type: str
    nullable: bool = True
    comment: str = ""
    masked: bool = False
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns of a table that name a row of another one.

    :param table: `table`, or `schema.table` in another schema.
    :param references: Its columns, in the order of `columns`.
    """

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """An index; those of primary keys are not listed."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, a view or a file.

    :param schema: Where it is; empty where the engine has no schemas.
    :param primary_key: Column names, in their order.
    :param row_count: As the database estimates or counts it, when it was asked for.
    """

    name: str
    columns: tuple[Column, ...]
    schema: str = ""
    kind: Literal["table", "view"] = "table"
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str = ""
    row_count: int | None = None

    @property
    def full_name(self) -> str:
        """`schema.table`, or `table` where there is no schema."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True)
class Catalogue:
    """Everything that is in a database, system tables left out.

    :param dialect: As sqlglot names it: `sqlite`, `postgres`, `mysql`, `duckdb`.
    :param default_schema: Where a table named without a schema is looked for.
    :param fingerprint: Other when the schema is other.
    """

    dialect: str
    tables: tuple[Table, ...]
    default_schema: str = ""
    fingerprint: str = ""
    _by_name: Mapping[str, Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {table.full_name.lower(): table for table in self.tables})

    def find(self, name: str, schema: str = "") -> Table | None:
        """The table a query means by a name; without case."""
        schema = schema or self.default_schema
        return self._by_name.get((f"{schema}.{name}" if schema else name).lower())

    def referred(self, table: Table, key: ForeignKey) -> Table | None:
        """The table a foreign key of `table` names."""
        schema, _, name = key.table.rpartition(".")
        return self.find(key.table, table.schema) or self.find(name, schema)

    def visible(self, policy: Policy) -> Catalogue:
        """What a policy shows: tables that are allowed, columns that are not blocked, masked ones without what may say their values: samples,
        comment, and the list in `ENUM('a', 'b')`.

        Keys and indexes over blocked columns go with them.
        """
        tables = []
        for table in self.tables:
            if not policy.allows(table.schema, table.name, view=table.kind == "view"):
                continue
            columns = tuple(
                replace(column, masked=True, samples=(), comment="", type=column.type.partition("(")[0].rstrip())
                if policy.masks(table.schema, table.name, column.name)
                else column
                for column in table.columns
                if not policy.blocks(table.schema, table.name, column.name)
            )
            names = {column.name for column in columns}
            tables.append(
                replace(
                    table,
                    columns=columns,
                    primary_key=table.primary_key if names.issuperset(table.primary_key) else (),
                    foreign_keys=tuple(
                        key
                        for key in table.foreign_keys
                        if names.issuperset(key.columns) and self._shows(policy, table, key)
                    ),
                    indexes=tuple(one for one in table.indexes if names.issuperset(one.columns)),
                )
            )
        return replace(self, tables=tuple(tables))

    def _shows(self, policy: Policy, table: Table, key: ForeignKey) -> bool:
        schema, _, name = key.table.rpartition(".")
        schema = schema or table.schema
        return policy.allows(schema, name) and not any(policy.blocks(schema, name, one) for one in key.references)
