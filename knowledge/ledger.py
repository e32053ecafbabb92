"""What calls to models took and may still take: the tables under the budget and the usage reports.

Money is whole numbers of `PICO` to the dollar, so sums are exact whatever the order.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal, localcontext
from typing import Any, Final, Literal

from .database import Database
from .errors import InputError

PICO: Final = 10**12
"""Units to the dollar: a price of six decimals for a million tokens is exact."""

MOST: Final = Decimal(1_000_000)
"""Dollars: no single cost or limit is more, so a sum fits into SQLite's integers."""

TOKENS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""The kinds of tokens that are counted, as in `LLMResponse.usage`."""

SCOPES: Final = ("global", "user", "component", "provider")
DIMENSIONS: Final = ("user", "component", "task", "provider", "model", "streamed", "cached", "outcome", "day")
"""What usage can be told apart by."""

Scope = Literal["global", "user", "component", "provider"]
Period = Literal["daily", "weekly", "monthly"]
LimitKey = tuple[Scope, str, Period]
Dimension = Literal["user", "component", "task", "provider", "model", "streamed", "cached", "outcome", "day"]

MOST_SUMS = 10_000
"""Whose sums are remembered at a time: more are for many thousand users, and then begun anew."""

MOST_TIMES = 8
"""Beginnings of periods remembered for each: more are old ones."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One call, as it is written down.

    :param user: Who asked, `component` for which part of a program, `task` what for.
    :param tokens: By kind, see `TOKENS`; what is missing is 0.
    :param cost: US dollars; `None` when the price is not known.
    :param cached: `exact` or `semantic` when no provider was asked, else "".
    :param outcome: `ok`, or the code of the error.
    :param duration: Seconds.
    """

    provider: str
    model: str
    user: str = ""
    component: str = ""
    task: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    cost: Decimal | None = None
    streamed: bool = False
    cached: str = ""
    outcome: str = "ok"
    duration: float = 0.0


@dataclass(frozen=True, slots=True)
class UsageLine:
    """The sum of some calls.

    :param of: What they have in common, by dimension.
    :param tokens: By kind, see `TOKENS`.
    :param cost: US dollars, exact, of the calls whose cost is known.
    :param unpriced: Calls whose cost is not known.
    :param duration: Seconds, of all calls together.
    """

    of: dict[str, str]
    calls: int
    tokens: dict[str, int]
    cost: Decimal
    unpriced: int
    duration: float


class Ledger:
    """The book of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sums = _Sums()

    @contextmanager
    def reading(self) -> Iterator[Book]:
        """The book as it is now."""
        with self._database.reading() as connection:
            yield Book(connection, self._sums)

    @contextmanager
    def writing(self) -> Iterator[Book]:
        """The book in one step: what is looked up inside stays so until what is written is written, whoever else writes."""
        with self._database.writing() as connection:
            yield Book(connection, self._sums)

    @contextmanager
    def writing_at_once(self) -> Iterator[Book]:
        """The same where nothing may wait; see `Database.writing_at_once`.

        :raises BlockingIOError: somebody else is writing, or many rows must be added up first; nothing was done.
        """
        with self._database.writing_at_once() as connection:
            yield Book(connection, self._sums, at_once=True)


class _Sums:
    """What was spent since some times, up to the row `_last`: only the rows after it need adding, however long the periods.

    Rows are only ever added, and their ids only grow.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[float, int]] = {}  # (scope, name) → since → sum
        self._last = 0
        self._lock = threading.Lock()

    def spent(self, connection: sqlite3.Connection, scope: Scope, name: str, since: float, *, at_once: bool) -> int:
        """The sum of the costs known, since a time.

        :raises BlockingIOError: it must be `at_once`, and is not known yet.
        """
        with self._lock:
            self._catch_up(connection)
            sums = self._known.get((scope, name), {})
            if since in sums:
                return sums[since]
            if at_once:
                raise BlockingIOError("The rows of a period must be added up.")
            theirs = "" if scope == "global" else f"AND {scope} = :name"
            total, newest = connection.execute(
                f"SELECT coalesce(sum(cost), 0), (SELECT max(id) FROM usage) FROM usage WHERE at >= :since {theirs}",  # noqa: S608 - constants
                {"name": name, "since": since},
            ).fetchone()
            # A reader that is behind another is not remembered: its sum would miss what that one has added.
            if (newest or 0) == self._last:
                if len(self._known) >= MOST_SUMS or len(sums) >= MOST_TIMES:
                    self._known.clear()
                self._known.setdefault((scope, name), {})[since] = total
            return int(total)

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        if not self._known:
            newest = connection.execute("SELECT max(id) FROM usage").fetchone()[0]
            self._last = max(self._last, newest or 0)
            return
        rows = "SELECT id, at, coalesce(cost, 0), user, component, provider FROM usage WHERE id > ? ORDER BY id"
        for number, at, cost, user, component, provider in connection.execute(rows, (self._last,)):
            self._last = number
            for whose in (("global", ""), ("user", user), ("component", component), ("provider", provider)):
                if sums := self._known.get(whose):
                    self._known[whose] = {since: total + cost * (at >= since) for since, total in sums.items()}


class Book:
    """The ledger within one transaction."""

    def __init__(self, connection: sqlite3.Connection, sums: _Sums, *, at_once: bool = False) -> None:
        self._connection = connection
        self._sums = sums
        self._at_once = at_once
        self._held: dict[tuple[str, str], int] = {}

    def spent(self, scope: Scope, name: str, since: float) -> int:
        """What calls have cost since a time, in `1/PICO` dollars."""
        return self._sums.spent(self._connection, scope, name, since, at_once=self._at_once)

    def held(self, scope: Scope, name: str, now: float) -> int:
        """What running calls may cost, in `1/PICO` dollars."""
        if (held := self._held.get((scope, name))) is None:  # asked for every period
            theirs = "" if scope == "global" else f"AND {scope} = :name"
            query = f"SELECT coalesce(sum(amount), 0) FROM reservations WHERE expires > :now {theirs}"  # noqa: S608 - constants
            held = self._held[scope, name] = self._connection.execute(query, {"name": name, "now": now}).fetchone()[0]
        return held

    def hold(
        self, number: str, amount: int, *, user: str, component: str, provider: str, now: float, expires: float
    ) -> None:
        """Set an amount aside; those whose time is over go, as their process has."""
        self._held.clear()
        self._connection.execute("DELETE FROM reservations WHERE expires <= ?", (now,))
        self._connection.execute(
            "INSERT INTO reservations (id, expires, user, component, provider, amount) VALUES (?, ?, ?, ?, ?, ?)",
            (number, expires, user, component, provider, amount),
        )

    def drop(self, number: str) -> None:
        """Give back what was set aside."""
        self._held.clear()
        self._connection.execute("DELETE FROM reservations WHERE id = ?", (number,))

    def record(self, usage: Usage, at: float) -> None:
        """Write a call down."""
        names = "at, user, component, task, provider, model, cost, streamed, cached, outcome, duration"
        cost = None if usage.cost is None else units(usage.cost)
        about = (usage.user, usage.component, usage.task, usage.provider, usage.model, cost)
        rest = (usage.streamed, usage.cached, usage.outcome, usage.duration)
        tokens = [int(usage.tokens.get(kind, 0)) for kind in TOKENS]
        self._connection.execute(
            f"INSERT INTO usage ({names}, {', '.join(TOKENS)}) VALUES (?{', ?' * (10 + len(TOKENS))})",  # noqa: S608 - constants
            (at, *about, *rest, *tokens),
        )

    def report(
        self, by: Sequence[Dimension], *, since: float, until: float, zone: tzinfo | None, only: Mapping[Dimension, str]
    ) -> list[UsageLine]:
        """The calls from `since` to before `until`, summed by dimensions, the dearest first.

        :param zone: Where days begin; `None` for the local time.
        :param only: Dimension → the value it must have.
        :raises InputError: there is no such dimension.
        """
        if unknown := [name for name in (*by, *only) if name not in DIMENSIONS]:
            raise InputError(f"Usage is not kept by {unknown[0]!r}.", f"Use some of: {', '.join(DIMENSIONS)}.")
        self._connection.create_function(
            "day_of", 1, lambda at: datetime.fromtimestamp(at // 1, zone).date().isoformat(), deterministic=True
        )
        column: dict[str, str] = {name: name for name in DIMENSIONS} | {
            "day": "day_of(at)",
            "streamed": "CASE streamed WHEN 0 THEN 'no' ELSE 'yes' END",
        }
        kept = "".join(f" AND {column[name]} = ?" for name in only)
        sums = ", ".join(f"coalesce(sum({kind}), 0)" for kind in TOKENS)
        rows = self._connection.execute(
            f"SELECT {''.join(f'{column[name]}, ' for name in by)} count(*), coalesce(sum(cost), 0), count(*) - count(cost),"  # noqa: S608 - constants
            f" coalesce(sum(duration), 0), {sums} FROM usage WHERE at >= ? AND at < ?{kept}"
            + (f" GROUP BY {', '.join(column[name] for name in by)}" if by else ""),
            (since, until, *only.values()),
        ).fetchall()
        lines = [_line(by, row) for row in rows]
        return sorted(lines, key=lambda line: (-line.cost, -line.calls, list(line.of.values())))

    def names(self, scope: Scope, since: float) -> list[str]:
        """Whose calls there were since a time."""
        query = f"SELECT DISTINCT {scope} FROM usage WHERE at >= ? ORDER BY 1"  # noqa: S608 - a constant
        return [name for (name,) in self._connection.execute(query, (since,))]

    def limits(self) -> dict[LimitKey, int]:
        """(scope, name, period) → amount in `1/PICO` dollars."""
        rows = self._connection.execute("SELECT scope, name, period, amount FROM budget_limits")
        return {(scope, name, period): amount for scope, name, period, amount in rows}

    def set_limit(self, scope: str, name: str, period: str, amount: int) -> None:
        """Keep a limit."""
        self._connection.execute(
            "INSERT INTO budget_limits (scope, name, period, amount) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (scope, name, period) DO UPDATE SET amount = excluded.amount",
            (scope, name, period, amount),
        )

    def remove_limit(self, scope: str, name: str, period: str) -> bool:
        """Forget a limit; whether it was kept."""
        theirs = (scope, name, period)
        return (
            self._connection.execute(
                "DELETE FROM budget_limits WHERE scope = ? AND name = ? AND period = ?", theirs
            ).rowcount
            > 0
        )

    def policy(self) -> str | None:
        """The policy that was kept."""
        row = self._connection.execute("SELECT policy FROM budget_policy").fetchone()
        return str(row[0]) if row else None

    def set_policy(self, policy: str) -> None:
        """Keep a policy."""
        self._connection.execute("INSERT OR REPLACE INTO budget_policy (id, policy) VALUES (1, ?)", (policy,))


def units(dollars: Decimal, *, up: bool = False) -> int:
    """Dollars in `1/PICO` dollars.

    :param up: Round up what is finer, as for what is set aside; else to the nearest.
    :raises InputError: it is less than nothing, or more than `MOST`.
    """
    if not (dollars.is_finite() and 0 <= dollars <= MOST):
        raise InputError(f"${dollars} is not an amount.", f"Give 0 to {MOST} dollars.")
    with localcontext() as context:
        context.prec = 40
        return int((dollars * PICO).to_integral_value(ROUND_UP if up else ROUND_HALF_EVEN))


def dollars(amount: int) -> Decimal:
    """`1/PICO` dollars as dollars."""
    with localcontext() as context:
        context.prec = 40
        return Decimal(amount) / PICO


def _line(by: Sequence[str], row: Sequence[Any]) -> UsageLine:
    calls, cost, unpriced, duration, *tokens = row[len(by) :]
    of = dict(zip(by, row, strict=False))
    return UsageLine(of, calls, dict(zip(TOKENS, tokens, strict=True)), dollars(cost), unpriced, duration)
