"""What is in sight at a place of a query: its sources with their columns, and which of these are masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Columns:
    """The columns of a table, a query or a function in FROM.

    :param named: Name as written and whether it is masked, in order.
    :param complete: There are no others, and they are in order.
    """

    named: list[tuple[str, bool]] = field(default_factory=list)
    complete: bool = False

    def renamed(self, names: Sequence[str]) -> Columns:
        """With the names of an alias list, `AS t(a, b)`, which go by position."""
        if not names:
            return self
        if not self.complete:
            masked = any(masked for _, masked in self.named)
            return Columns([(name, masked) for name in names])
        new = [(name, masked) for name, (_, masked) in zip(names, self.named, strict=False)]
        return Columns(new + self.named[len(new) :], complete=True)

    def joined(self, other: Columns) -> Columns:
        """Of a set operation: the names of the first, masked if one of both is."""
        if not (self.complete and other.complete):
            return Columns([*self.named, *other.named])
        both = zip(self.named, [*other.named, *[("", False)] * len(self.named)], strict=False)
        return Columns([(name, masked or also) for (name, masked), (_, also) in both], complete=True)


@dataclass(slots=True)
class Source:
    """One thing in FROM.

    :param hidden: Names of columns that nobody sees.
    :param protected: It was rewritten, so only its alias names it.
    """

    columns: Columns
    masks: dict[str, bool] = field(default_factory=dict)
    hidden: Iterable[str] = ()
    schema: str = ""
    protected: bool = False

    def __post_init__(self) -> None:
        for name, masked in self.columns.named:
            key = name.lower()
            self.masks[key] = self.masks.get(key, False) or masked


@dataclass(slots=True)
class Scope:
    """The sources of one SELECT and what is around it."""

    parent: Scope | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)
    merged: bool = False  # USING or NATURAL: a star has fewer columns than its sources

    def add(self, alias: str, source: Source) -> None:
        """A source under the name it has in the query; nameless ones get one nobody can write."""
        key = alias.lower() or f"\0{len(self.sources)}"
        if key in self.sources:
            # Two of one name, in different schemas or by mistake: the database tells which is meant.
            both = self.sources[key]
            source = Source(
                Columns([*both.columns.named, *source.columns.named]), protected=both.protected or source.protected
            )
        self.sources[key] = source

    def chain(self) -> Iterator[Scope]:
        """This one and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def source(self, alias: str) -> Source | None:
        """The nearest source of a name."""
        return next((scope.sources[alias] for scope in self.chain() if alias in scope.sources), None)

    def knows(self, name: str) -> bool:
        """Whether a name alone may be a column, an alias or a whole row."""
        opened = False
        for scope in self.chain():
            if name in scope.aliases or name in scope.sources:
                return True
            for source in scope.sources.values():
                if name in source.masks:
                    return True
                opened = opened or not source.columns.complete
        return opened and not self.hides(name)

    def hides(self, name: str) -> bool:
        """Whether it is a column that nobody sees."""
        return any(name in source.hidden for scope in self.chain() for source in scope.sources.values())

    def masked(self, name: str) -> bool:
        """Whether a column named without its table is masked."""
        for scope in self.chain():
            for source in scope.sources.values():
                if name in source.masks:
                    return source.masks[name]
        return False

    def names(self) -> set[str]:
        """All columns in sight, as they are written."""
        return {name for scope in self.chain() for source in scope.sources.values() for name, _ in source.columns.named}

    def star(self, alias: str = "") -> Columns:
        """What `*` or `alias.*` comes to."""
        if alias:
            found = self.source(alias)
            return found.columns if found else Columns()
        every = [source.columns for source in self.sources.values()]
        named = [column for columns in every for column in columns.named]
        return Columns(named, complete=not self.merged and all(columns.complete for columns in every))
