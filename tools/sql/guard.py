"""Which SQL may run: exactly one query, made of known parts, over tables and columns the policy shows.

A query is read into a tree, the tree is checked against allow-lists and rewritten, and what runs is written anew from it: a table with blocked or
masked columns becomes `(SELECT what may be seen, mask AS masked …) AS table`, so no expression, alias, star, whole row or join can reach
more. The text itself never runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ...knowledge.errors import ConfigError, QueryRefusedError
from .guard_names import FUNCTIONS

if TYPE_CHECKING:
    from .catalogue import Catalogue
    from .policy import Policy
    from .rewriting import Rewriter


@dataclass(frozen=True, slots=True)
class Guarded:
    """A query that may run.

    :param sql: What to run instead of the text: one line, no comments.
    :param dialect: Of the database, as sqlglot names it.
    :param tables: The tables and views it reads, by full name, sorted.
    :param masked: Names of its columns that hold masked values, or are made of them.
    :param limited: Its `LIMIT` is the guard's own, one above the rows asked for: that many rows mean that there are more.
    """

    sql: str
    dialect: str
    tables: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    limited: bool = False


class Guard:
    """Checks queries against one catalogue and one policy; make a new one when either changes. Safe to share between threads.

    :param catalogue: Everything that is in the database, unfiltered.
    :raises ConfigError: the guard does not know the dialect.
    """

    def __init__(self, catalogue: Catalogue, policy: Policy) -> None:
        if catalogue.dialect not in FUNCTIONS:
            raise ConfigError(
                f"The guard does not know the SQL of {catalogue.dialect!r}.", f"It knows {', '.join(FUNCTIONS)}."
            )
        self.catalogue = catalogue
        self.policy = policy

    @cached_property
    def _rewriter(self) -> Rewriter:
        from .rewriting import Rewriter  # brings sqlglot, which takes 100 ms to import

        return Rewriter(self.catalogue, self.policy)

    def check(self, sql: str, *, max_rows: int = 10_000) -> Guarded:
        """The query as it may run.

        :param max_rows: Rows to return at most; the query gets a `LIMIT` one higher, unless its own is lower. 0 sets none.
        :raises QueryRefusedError: it may not run; its `rule` is one of `size`, `control_character`, `encoding`, `comment`, `empty`,
            `several_statements`, `syntax`, `construct`, `parameter`, `function`, `type`, `table`, `column`, `cte`.
        :raises ReadOnlyViolationError: it would change something; its `rule` is `read_only`, `several_statements`, `locking` or `function`.
        :raises ConfigError: sqlglot is not installed.
        """
        try:
            from .limiting import limit
            from .nodes import check_nodes
            from .statements import read, reread, write
        except ModuleNotFoundError:
            raise ConfigError(
                "sqlglot is not installed, and no query is run unchecked.", "Run `pip install 'racto[sql]'`."
            ) from None

        dialect = self.catalogue.dialect
        tree = read(sql, dialect)
        check_nodes(tree, dialect)
        tree, tables, masked = self._rewriter.rewrite(tree)
        tree, limited = limit(tree, max_rows)
        text = write(tree, dialect)
        # What runs is text again, so it has to mean the tree that was checked.
        if write(reread(text, dialect), dialect) != text:
            raise QueryRefusedError(
                "The query does not come back the same when it is written anew.",
                "Write it in a plainer way.",
                rule="syntax",
            )
        return Guarded(text, dialect, tables, masked, limited)
