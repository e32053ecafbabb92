"""What may be spent, by whom and in which period, and what was.

Before a call its greatest cost is set aside, after it the true cost is written down; both are one step in the database, so callers and processes
that come at once cannot spend the same dollar. What was set aside by a process that died is free again after a while.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import count
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
    Reservation,
    Standing,
    exceeded,
    one_of,
    period_start,
    share_of,
    warning,
)

STEPS_AT_ONCE = 64
"""One in so many steps may wait for the disk, in a thread of its own."""


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
        self._windows: dict[Period, tuple[float, float]] = {}
        self._opened = False
        self._limited = False  # the last call met a limit
        self._steps = count()

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
        if local or (self._opened and not self._limited and self._free(estimate)):
            return reservation
        step = partial(self._reserve, reservation, estimate)
        if not self._at_once(step):
            waiting = self._in_thread(step)
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                waiting.add_done_callback(partial(self._give_back, reservation))
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
        await self._to_the_end(partial(self._write, [written], reservation.number))

    async def release(self, reservation: Reservation) -> None:
        """Free what was set aside for a call that was not made; one that is closed already is left alone."""
        if not reservation.closed:
            reservation.closed = True
            if reservation.number:
                await self._to_the_end(partial(self._write, (), reservation.number))

    async def record(self, *usages: Usage) -> None:
        """Write down calls that needed no reservation, such as the hit of a cache or the answers of a batch, in one step."""
        await self._to_the_end(partial(self._write, usages, ""))

    def _at_once(self, step: Callable[[Book], None]) -> bool:
        """Do a step on the caller's own thread, unless it would wait for anybody; whether it is done. To have another thread do it costs
        five times as much; one in many goes there all the same, because what is written must be moved from the log into the file, and
        that waits for the disk.
        """
        if not (self._opened and next(self._steps) % STEPS_AT_ONCE):
            return False
        try:
            with self._ledger.writing_at_once() as book:
                step(book)
        except BlockingIOError:
            return False
        return True

    def _in_thread(self, step: Callable[[Book], None]) -> asyncio.Future[None]:
        def written() -> None:
            self._opened = True
            with self._ledger.writing() as book:
                step(book)

        return asyncio.get_running_loop().run_in_executor(None, written)

    async def _to_the_end(self, step: Callable[[Book], None]) -> None:
        """Do a step, even when its caller is cancelled meanwhile."""
        if not self._at_once(step):
            await asyncio.shield(self._in_thread(step))

    def _free(self, estimate: Decimal | None) -> bool:
        """Whether no limit is asked of anybody. On the caller's own thread: to look into an open file takes 20 µs and waits for nobody,
        to have another thread look takes ten times as long.
        """
        with self._ledger.reading() as book:
            policy = self._policy_of(book)
            return policy == "ignore" or (
                not (self._defaults or book.limits()) and (policy == "warn" or estimate is not None)
            )

    def _reserve(self, reservation: Reservation, estimate: Decimal | None, book: Book) -> None:
        policy = self._policy_of(book)
        self._limited = False
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
        self._limited = bool(limits)
        warnings = []
        for limit, most, name in limits:
            wanted = self._used(book, limit, name, now) + amount
            if policy == "enforce" and wanted > most:
                standing = self._standing(book, limit, most, name, now)
                raise exceeded(standing, dollars(amount), reservation.provider, reservation.model)
            if wanted >= self.warn_at * most:
                warnings.append(warning(self._standing(book, limit, most, name, now), dollars(wanted)))
        if limits and estimate is None:
            warnings.append(f"The price of {reservation.model} is not known: this call is missing in the budget.")
        reservation.warnings = warnings
        if limits and amount:
            reservation.amount = dollars(amount)
            reservation.number = uuid4().hex
            book.hold(reservation.number, amount, **theirs, now=now, expires=now + self._patience)

    def _write(self, usages: Iterable[Usage], number: str, book: Book) -> None:
        if number:
            book.drop(number)
        for usage in usages:
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
            held = self._limits_of(book, theirs)
            return max((share_of(self._used(book, limit, name, now), most) for limit, most, name in held), default=0.0)

    def _status(self) -> list[Standing]:
        """How every limit stands; one for each is told for everybody who made calls in its period."""
        now = self._clock()
        with self._ledger.reading() as book:
            standings = []
            for limit, most in self._amounts(book).items():
                scope, name, period = limit
                names = book.names(scope, self._window(period, now)[0]) if name == EACH else [name]
                standings += [self._standing(book, limit, most, each, now) for each in names]
            return standings

    def _limits(self) -> list[BudgetLimit]:
        """Every limit, those that were set and those of the settings."""
        with self._ledger.reading() as book:
            return [_limit(limit, most) for limit, most in self._amounts(book).items()]

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
            start = self._window(one_of("period", period, PERIODS), self._clock())[0]
        end = until.replace(tzinfo=until.tzinfo or self._zone).timestamp() if until else float("inf")
        with self._ledger.reading() as book:
            return book.report(by, since=start, until=end, zone=self._zone, only=only or {})

    def _policy_of(self, book: Book) -> Policy:
        kept = book.policy()
        return next((policy for policy in POLICIES if policy == kept), self._policy)

    def _amounts(self, book: Book) -> dict[LimitKey, int]:
        """Every limit and its amount."""
        amounts = self._defaults | book.limits()
        order = sorted(amounts, key=lambda limit: (SCOPES.index(limit[0]), limit[1], PERIODS.index(limit[2])))
        return {limit: amounts[limit] for limit in order}

    def _limits_of(self, book: Book, theirs: Mapping[str, str]) -> list[tuple[LimitKey, int, str]]:
        """The limits that hold for a call, and whom each is about. A name of its own comes before `EACH`."""
        amounts = self._amounts(book)
        held: list[tuple[LimitKey, int, str]] = []
        for (scope, name, period), most in amounts.items():
            own = theirs.get(scope, "")
            if name == own or (name == EACH and (scope, own, period) not in amounts):
                held.append(((scope, name, period), most, own))
        return held

    def _used(self, book: Book, limit: LimitKey, name: str, now: float) -> int:
        scope, _, period = limit
        return book.spent(scope, name, self._window(period, now)[0]) + book.held(scope, name, now)

    def _standing(self, book: Book, limit: LimitKey, most: int, name: str, now: float) -> Standing:
        scope, _, period = limit
        start, end = self._window(period, now)
        spent, held = book.spent(scope, name, start), book.held(scope, name, now)
        resets = datetime.fromtimestamp(end, self._zone).astimezone(self._zone)
        return Standing(_limit(limit, most), name, dollars(spent), dollars(held), resets)

    def _window(self, period: Period, now: float) -> tuple[float, float]:
        """When the period that holds `now` began, and when the next one does."""
        window = self._windows.get(period)
        if window is None or not window[0] <= now < window[1]:
            start = period_start(period, now, self._zone)
            window = self._windows[period] = (start, period_start(period, now, self._zone, after=1))
        return window

    pressure = off_loop(_pressure)
    status = off_loop(_status)
    limits = off_loop(_limits)
    set_limit = off_loop(_set_limit)
    remove_limit = off_loop(_remove_limit)
    policy = off_loop(_get_policy)
    set_policy = off_loop(_set_policy)
    report = off_loop(_report)


def _limit(limit: LimitKey, most: int) -> BudgetLimit:
    scope, name, period = limit
    return BudgetLimit(period, dollars(most), scope, name)
