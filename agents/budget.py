"""What may be spent, by whom and in which period, and what was.

Before a call its greatest cost is set aside, after it the true cost is written down; both are one step in the database, so callers and processes
that come at once cannot spend the same dollar. What was set aside by a process that died is free again after a while.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..knowledge.database import Database
from ..knowledge.edge import off_loop
from ..knowledge.errors import ConfigError, ConflictError, InputError, UnknownPriceError
from ..knowledge.ledger import (
    SCOPES,
    Book,
    Dimension,
    Ledger,
    LimitKey,
    Period,
    Scope,
    Usage,
    UsageLine,
    dollars,
    units,
)
from .limits import (
    EACH,
    PERIODS,
    POLICIES,
    BudgetLimit,
    Policy,
    Standing,
    exceeded,
    one_of,
    period_start,
    share_of,
    warning,
)

T = TypeVar("T")


@dataclass(slots=True)
class Reservation:
    """What is set aside for one call.

    :param amount: US dollars.
    :param warnings: What the person should know of the limits.
    :param closed: It was settled or released.
    """

    user: str
    component: str
    provider: str
    model: str
    task: str
    amount: Decimal = Decimal(0)
    warnings: list[str] = field(default_factory=list)
    closed: bool = False
    number: str = ""


class Budget:
    """The limits and the ledger of one database.

    :param policy: What a limit does: nothing (`ignore`), a warning in the answer (`warn`), a refusal (`enforce`). One that was set with
        `set_policy` comes first.
    :param limits: Those that hold where none was set with `set_limit`.
    :param timezone: Where days begin, as `Europe/Zurich`; by default the local time.
    :param warn_at: From which part of a limit on there are warnings.
    :param reservation_seconds: How long an amount is set aside at most; must be longer than the longest call.
    :param clock: Seconds since 1970.
    :raises ConfigError: there is no such policy or time zone.
    """

    def __init__(
        self,
        database: Database,
        policy: Policy = "warn",
        *,
        limits: Iterable[BudgetLimit] = (),
        timezone: str | None = None,
        warn_at: float = 0.8,
        reservation_seconds: float = 900.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if policy not in POLICIES:
            raise ConfigError(f"There is no budget policy {policy!r}.", f"Use one of: {', '.join(POLICIES)}.")
        try:
            self._zone = ZoneInfo(timezone) if timezone else None
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigError(
                f"There is no time zone {timezone!r}.", "Write it like Europe/Zurich, or leave it out."
            ) from None
        self.warn_at = warn_at
        self._policy = policy
        self._defaults: dict[LimitKey, int] = {
            (limit.scope, limit.name, limit.period): units(limit.amount) for limit in limits
        }
        self._ledger = Ledger(database)
        self._patience = reservation_seconds
        self._clock = clock

    async def reserve(
        self,
        estimate: Decimal | None,
        *,
        user: str = "",
        component: str = "",
        provider: str = "",
        model: str = "",
        task: str = "",
        local: bool = False,
    ) -> Reservation:
        """Set aside what a call may cost; settle or release it afterwards.

        :param estimate: US dollars, the most it can be; `None` when the price is not known.
        :param local: The provider runs here and costs nothing: no limit is asked.
        :raises BudgetExceededError: under `enforce`, a limit would be passed.
        :raises UnknownPriceError: under `enforce`, the price is not known.
        """
        reservation = Reservation(user, component, provider, model, task)
        if local:
            return reservation
        step = asyncio.get_running_loop().run_in_executor(None, self._reserve, reservation, estimate)
        try:
            await asyncio.shield(step)
        except asyncio.CancelledError:
            step.add_done_callback(partial(self._give_back, reservation))
            raise
        return reservation

    async def settle(
        self,
        reservation: Reservation,
        usage: Mapping[str, int],
        cost: Decimal | None,
        *,
        provider: str | None = None,
        model: str | None = None,
        streamed: bool = False,
        outcome: str = "ok",
        duration: float = 0.0,
    ) -> None:
        """Write down what the call took, and free what was set aside for it. A caller that is cancelled meanwhile does not stop it.

        :param usage: Tokens by kind, as in `LLMResponse.usage`.
        :param cost: US dollars; `None` when the price is not known.
        :param provider: Who answered, when it is not who was reserved for; `model` likewise.
        :param outcome: `ok`, or the code of the error.
        :param duration: Seconds.
        :raises ConflictError: it was settled or released before.
        """
        if reservation.closed:
            raise ConflictError(
                "The reservation is closed: its cost was written down, or it was released.", "Reserve again."
            )
        written = Usage(
            reservation.provider if provider is None else provider,
            reservation.model if model is None else model,
            reservation.user,
            reservation.component,
            reservation.task,
            usage,
            cost,
            streamed,
            "",
            outcome,
            duration,
        )
        reservation.closed = True
        await _to_the_end(partial(self._write, written, reservation.number))

    async def release(self, reservation: Reservation) -> None:
        """Free what was set aside for a call that was not made; one that is closed already is left alone."""
        if not reservation.closed:
            reservation.closed = True
            if reservation.number:
                await _to_the_end(partial(self._drop, reservation.number))

    async def record(self, usage: Usage) -> None:
        """Write down a call that needed no reservation, such as the hit of a cache."""
        await _to_the_end(partial(self._write, usage))

    def _reserve(self, reservation: Reservation, estimate: Decimal | None) -> None:
        with self._ledger.writing() as book:
            policy = self._policy_of(book)
            if policy == "ignore":
                return
            if estimate is None and policy == "enforce":
                raise UnknownPriceError(
                    f"The price of {reservation.model} at {reservation.provider} is not known, and a budget is enforced.",
                    "Use a model with a known price or a local one, or set the budget policy to warn.",
                    provider=reservation.provider,
                    model=reservation.model,
                )
            now = self._clock()
            amount = units(estimate or Decimal(0), up=True)
            theirs = {"user": reservation.user, "component": reservation.component, "provider": reservation.provider}
            limits = self._limits_of(book, theirs)
            for limit, name in limits:
                standing = self._standing(book, limit, name, now)
                wanted = standing.spent + standing.reserved + dollars(amount)
                if policy == "enforce" and wanted > limit.amount:
                    raise exceeded(standing, dollars(amount), reservation.provider, reservation.model)
                if share_of(wanted, limit.amount) >= self.warn_at:
                    reservation.warnings.append(warning(standing, wanted))
            if limits and estimate is None:
                reservation.warnings.append(
                    f"The price of {reservation.model} is not known: this call is missing in the budget."
                )
            if limits and amount:
                reservation.amount = dollars(amount)
                reservation.number = uuid4().hex
                book.hold(reservation.number, amount, **theirs, now=now, expires=now + self._patience)

    def _write(self, usage: Usage, number: str = "") -> None:
        with self._ledger.writing() as book:
            if number:
                book.drop(number)
            book.record(usage, self._clock())

    def _drop(self, number: str) -> None:
        with self._ledger.writing() as book:
            book.drop(number)

    def _give_back(self, reservation: Reservation, step: asyncio.Future[None]) -> None:
        """Free what was set aside for a caller that was cancelled meanwhile."""
        if not step.cancelled() and step.exception() is None and reservation.number:
            threading.Thread(target=self._drop, args=(reservation.number,), name="racto-budget").start()

    def _pressure(self, *, user: str = "", component: str = "", provider: str = "") -> float:
        """The greatest part of a limit that is used up, of those that hold for such a call: 0 to 1, and more when it was passed.

        From `warn_at` on a cheaper model is in order, from 1 on a local one. Under `ignore` there is no pressure.
        """
        theirs = {"user": user, "component": component, "provider": provider}
        with self._ledger.reading() as book:
            if self._policy_of(book) == "ignore":
                return 0.0
            now = self._clock()
            limits = self._limits_of(book, theirs)
            return max((self._standing(book, limit, name, now).share for limit, name in limits), default=0.0)

    def _status(self) -> list[Standing]:
        """How every limit stands; one for each is told for everybody who made calls in its period."""
        now = self._clock()
        with self._ledger.reading() as book:
            standings = []
            for limit in self._all_limits(book):
                names = [limit.name]
                if limit.name == EACH:
                    names = book.names(limit.scope, period_start(limit.period, now, self._zone))
                standings += [self._standing(book, limit, name, now) for name in names]
            return standings

    def _limits(self) -> list[BudgetLimit]:
        """Every limit, those that were set and those of the settings."""
        with self._ledger.reading() as book:
            return self._all_limits(book)

    def _set_limit(self, limit: BudgetLimit) -> None:
        """Keep a limit in the database, instead of the one of the same scope, name and period."""
        with self._ledger.writing() as book:
            book.set_limit(limit.scope, limit.name, limit.period, units(limit.amount))

    def _remove_limit(self, period: Period, scope: Scope = "global", name: str = "") -> bool:
        """Forget a limit that was set; whether there was one. One of the settings holds again."""
        with self._ledger.writing() as book:
            return book.remove_limit(scope, name, period)

    def _get_policy(self) -> Policy:
        """The policy that holds."""
        with self._ledger.reading() as book:
            return self._policy_of(book)

    def _set_policy(self, policy: Policy) -> None:
        """Keep a policy in the database.

        :raises InputError: there is no such policy.
        """
        one_of("policy", policy, POLICIES)
        with self._ledger.writing() as book:
            book.set_policy(policy)

    def _report(
        self,
        by: Sequence[Dimension] = ("provider", "model"),
        *,
        period: Period | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        only: Mapping[Dimension, str] | None = None,
    ) -> list[UsageLine]:
        """What calls took, summed by some dimensions, the dearest first.

        :param by: Some of `DIMENSIONS`; none for one line of everything.
        :param period: The one that runs; by default all there is.
        :param since: Instead of a period. A time without a zone is one of the budget's.
        :param until: Calls before this.
        :param only: Dimension → the value it must have.
        :raises InputError: there is no such dimension, or both a period and `since` were given.
        """
        if period and since:
            raise InputError("Both a period and a beginning were given.", "Give one of them.")
        start = since.replace(tzinfo=since.tzinfo or self._zone).timestamp() if since else 0.0
        if period:
            start = period_start(one_of("period", period, PERIODS), self._clock(), self._zone)
        end = until.replace(tzinfo=until.tzinfo or self._zone).timestamp() if until else float("inf")
        with self._ledger.reading() as book:
            return book.report(by, since=start, until=end, zone=self._zone, only=only or {})

    def _policy_of(self, book: Book) -> Policy:
        kept = book.policy()
        return next((policy for policy in POLICIES if policy == kept), self._policy)

    def _all_limits(self, book: Book) -> list[BudgetLimit]:
        amounts = self._defaults | book.limits()
        return [
            BudgetLimit(period, dollars(amounts[scope, name, period]), scope, name)
            for scope, name, period in sorted(
                amounts, key=lambda key: (SCOPES.index(key[0]), key[1], PERIODS.index(key[2]))
            )
        ]

    def _limits_of(self, book: Book, theirs: Mapping[str, str]) -> list[tuple[BudgetLimit, str]]:
        """The limits that hold for a call, and whom each is about. A name of its own comes before `EACH`."""
        limits = self._all_limits(book)
        named = {(limit.scope, limit.name, limit.period) for limit in limits}
        held: list[tuple[BudgetLimit, str]] = []
        for limit in limits:
            name = theirs.get(limit.scope, "")
            own = (limit.scope, name, limit.period) in named
            if limit.name == name or (limit.name == EACH and not own):
                held.append((limit, name))
        return held

    def _standing(self, book: Book, limit: BudgetLimit, name: str, now: float) -> Standing:
        spent = book.spent(limit.scope, name, period_start(limit.period, now, self._zone))
        reserved = book.held(limit.scope, name, now)
        resets = datetime.fromtimestamp(period_start(limit.period, now, self._zone, after=1), self._zone).astimezone(
            self._zone
        )
        return Standing(limit, name, dollars(spent), dollars(reserved), resets)

    pressure = off_loop(_pressure)
    status = off_loop(_status)
    limits = off_loop(_limits)
    set_limit = off_loop(_set_limit)
    remove_limit = off_loop(_remove_limit)
    policy = off_loop(_get_policy)
    set_policy = off_loop(_set_policy)
    report = off_loop(_report)


async def _to_the_end(step: Callable[[], T]) -> T:
    """What a blocking step gives; it is done even when its caller is cancelled meanwhile."""
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, step))
