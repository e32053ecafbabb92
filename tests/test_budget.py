"""What may be spent and what was: limits hold whoever comes at once, and the ledger is exact."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.budget import Budget
from racto.agents.limits import EACH, PERIODS, BudgetLimit, period_start
from racto.knowledge.database import Database
from racto.knowledge.errors import BudgetExceededError, ConfigError, ConflictError, InputError, UnknownPriceError
from racto.knowledge.ledger import Ledger, Period, Scope, Usage, UsageLine, dollars, units

pytestmark = pytest.mark.anyio

CENT = Decimal("0.01")
TOKENS = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Clock:
    def __init__(self, at: str = "2026-11-20T12:00:00+00:00") -> None:
        self.now = datetime.fromisoformat(at).timestamp()

    def __call__(self) -> float:
        return self.now

    def advance(self, **time: float) -> None:
        self.now += timedelta(**time).total_seconds()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


def _limit(amount: str, period: Period = "daily", scope: Scope = "global", name: str = "") -> BudgetLimit:
    return BudgetLimit(period, Decimal(amount), scope, name)


async def _spend(budget: Budget, cost: Decimal | None, **about: Any) -> list[str]:
    """One whole call that costs what was estimated; its warnings."""
    reservation = await budget.reserve(cost, **about)
    await budget.settle(reservation, TOKENS, cost)
    return reservation.warnings


async def _total(budget: Budget) -> UsageLine:
    (line,) = await budget.report(())
    return line


async def test_200_callers_at_once_spend_the_limit_and_not_a_cent_more(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1.00")])

    async def call() -> bool:
        try:
            await _spend(budget, CENT)
        except BudgetExceededError:
            return False
        return True

    done = await asyncio.gather(*(call() for _ in range(200)))
    assert sum(done) == (await _total(budget)).calls
    assert (await _total(budget)).cost <= 1
    while await call():  # callers that were refused while others held more than they would spend may come again
        done.append(True)
    assert (await _total(budget)).cost == Decimal("1.00")
    assert sum(done) == 100


async def test_200_callers_who_all_hold_what_they_took_get_exactly_the_limit(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1.00")])
    got = await asyncio.gather(*(budget.reserve(CENT) for _ in range(200)), return_exceptions=True)
    held = [each for each in got if not isinstance(each, BaseException)]
    assert len(held) == 100
    assert {type(each) for each in got if isinstance(each, BaseException)} == {BudgetExceededError}
    await asyncio.gather(*(budget.settle(each, TOKENS, CENT) for each in held))
    assert (await _total(budget)).cost == Decimal("1.00")


_SPENDER = """
import asyncio, json, sys
from decimal import Decimal
from racto.agents.budget import Budget
from racto.agents.limits import BudgetLimit
from racto.knowledge.database import Database
from racto.knowledge.errors import BudgetExceededError

async def main():
    database = Database(sys.argv[1])
    budget = Budget(database, "enforce", limits=[BudgetLimit("daily", Decimal("1.00"))])
    await budget.status()
    print("ready", flush=True)
    sys.stdin.readline()
    async def call():
        try:
            reservation = await budget.reserve(Decimal("0.01"), user=sys.argv[2])
        except BudgetExceededError:
            return 0
        await budget.settle(reservation, {"total_tokens": 1}, Decimal("0.01"))
        return 1
    spent = 0
    while more := sum(await asyncio.gather(*(call() for _ in range(50)))):
        spent += more
    print(json.dumps(spent), flush=True)
    database.close()

asyncio.run(main())
"""


async def test_4_processes_at_once_spend_the_limit_and_not_a_cent_more(tmp_path: Path) -> None:
    path = tmp_path / "racto.db"
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-c", _SPENDER, str(path)]
    processes = [await asyncio.create_subprocess_exec(*command, f"user {n}", stdin=pipe, stdout=pipe) for n in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    results = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    spent = [json.loads(out) for out, _ in results]
    database = Database(path)
    budget = Budget(database)
    lines = await budget.report(("user",))
    assert {line.of["user"]: line.calls for line in lines} == {
        f"user {n}": count for n, count in enumerate(spent) if count
    }
    assert sum(spent) == 100
    assert (await _total(budget)).cost == Decimal("1.00")
    database.close()


_DIES = """
import asyncio, os, signal, sys
from decimal import Decimal
from racto.agents.budget import Budget
from racto.agents.limits import BudgetLimit
from racto.knowledge.database import Database

async def main():
    budget = Budget(Database(sys.argv[1]), "enforce", limits=[BudgetLimit("daily", Decimal("1.00"))])
    await budget.settle(await budget.reserve(Decimal("0.10")), {"total_tokens": 1}, Decimal("0.10"))
    await budget.reserve(Decimal("0.90"))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_a_killed_process_held_is_free_again_and_what_it_spent_is_kept(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _DIES, str(tmp_path / "racto.db"))
    assert await process.wait() < 0
    database = Database(tmp_path / "racto.db")
    clock = Clock()
    clock.now = datetime.now(UTC).timestamp()
    # A zone in which this minute is far from midnight, so that both times below are in one day.
    zone = f"Etc/GMT{(datetime.now(UTC).hour - 12) % 24 - 12:+d}"
    budget = Budget(database, "enforce", limits=[_limit("1.00")], timezone=zone, clock=clock)
    with pytest.raises(BudgetExceededError, match=r"\$0.1 are spent and \$0.9 set aside"):
        await budget.reserve(CENT)
    clock.advance(seconds=901)
    await _spend(budget, Decimal("0.90"))
    assert (await _total(budget)).cost == Decimal("1.00")
    database.close()


async def test_what_is_reserved_and_not_used_can_be_spent_by_others(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1")])
    first = await budget.reserve(Decimal(1))
    with pytest.raises(BudgetExceededError):
        await budget.reserve(CENT)
    await budget.settle(first, TOKENS, Decimal("0.25"))
    second = await budget.reserve(Decimal("0.75"))
    await budget.release(second)
    third = await budget.reserve(Decimal("0.75"))
    await budget.settle(third, TOKENS, Decimal("0.75"))
    (standing,) = await budget.status()
    assert [standing.spent, standing.reserved, standing.remaining] == [1, 0, 0]
    assert standing.share == 1.0


async def test_a_reservation_is_closed_once(database: Database) -> None:
    budget = Budget(database, limits=[_limit("1")])
    reservation = await budget.reserve(CENT)
    await budget.settle(reservation, TOKENS, CENT)
    await budget.release(reservation)
    with pytest.raises(ConflictError):
        await budget.settle(reservation, TOKENS, CENT)
    assert (await _total(budget)).calls == 1


async def test_a_refusal_says_which_limit_how_it_stands_and_what_to_do(database: Database, clock: Clock) -> None:
    limits = [_limit("5", "monthly", "user", "ann")]
    budget = Budget(database, "enforce", limits=limits, timezone="UTC", clock=clock)
    await _spend(budget, Decimal("4.99"), user="ann", provider="openai", model="gpt")
    with pytest.raises(BudgetExceededError) as caught:
        await budget.reserve(Decimal("0.02"), user="ann", provider="openai", model="gpt")
    text = str(caught.value)
    assert "monthly budget of user 'ann' is $5: $4.99 are spent, this call may cost $0.02" in text
    assert "Wait until 2026-12-01 00:00" in text
    assert "policy" in text
    assert (caught.value.provider, caught.value.model) == ("openai", "gpt")
    await _spend(budget, Decimal("0.02"), user="bob")


async def test_an_unknown_price_is_refused_when_a_budget_is_enforced_and_never_nothing(database: Database) -> None:
    strict = Budget(database, "enforce", limits=[_limit("1")])
    with pytest.raises(UnknownPriceError, match="price of m at p is not known"):
        await strict.reserve(None, provider="p", model="m")
    lenient = Budget(database, "warn", limits=[_limit("1")])
    assert await _spend(lenient, None, model="m") == [
        "The price of m is not known: this call is missing in the budget."
    ]
    line = await _total(lenient)
    assert [line.calls, line.unpriced, line.cost] == [1, 1, 0]


async def test_a_local_provider_is_free_even_when_nothing_is_left(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("0")])
    with pytest.raises(BudgetExceededError):
        await budget.reserve(CENT, provider="openai")
    assert await budget.pressure() == 1
    reservation = await budget.reserve(None, provider="ollama", local=True)
    await budget.settle(reservation, TOKENS, Decimal(0))
    assert (await _total(budget)).tokens["total_tokens"] == 15


async def test_warnings_come_near_the_limit_and_nothing_is_refused_under_warn(database: Database) -> None:
    budget = Budget(database, "warn", limits=[_limit("1")])
    assert await _spend(budget, Decimal("0.79")) == []
    (warning,) = await _spend(budget, CENT)
    assert "$0.8 of the daily budget ($1)" in warning
    assert len(await _spend(budget, Decimal(5))) == 1
    assert await budget.pressure() == pytest.approx(5.8)


async def test_a_budget_that_is_enforced_also_warns(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1")], warn_at=0.5)
    assert await _spend(budget, Decimal("0.49")) == []
    assert len(await _spend(budget, Decimal("0.51"))) == 1


async def test_without_warnings_a_limit_still_holds(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1")], warn_at=2)
    assert await _spend(budget, Decimal(1)) == []
    with pytest.raises(BudgetExceededError):
        await budget.reserve(CENT)


async def test_ignore_counts_and_does_nothing_else(database: Database) -> None:
    budget = Budget(database, "ignore", limits=[_limit("0.01")])
    assert await _spend(budget, Decimal(3)) == []
    assert await _spend(budget, None) == []
    assert await budget.pressure() == 0
    assert (await _total(budget)).cost == 3


async def test_each_scope_has_its_own_limit(database: Database) -> None:
    limits = [
        _limit("1", "daily", "user", "ann"),
        _limit("2", "daily", "component", "search"),
        _limit("3", "daily", "provider", "openai"),
    ]
    budget = Budget(database, "enforce", limits=limits)
    await _spend(budget, Decimal(1), user="ann", component="search", provider="openai")
    for about, left in (({"user": "ann"}, 0), ({"component": "search"}, 1), ({"provider": "openai"}, 2)):
        with pytest.raises(BudgetExceededError, match=f"{next(iter(about))} "):
            await budget.reserve(left + CENT, **about)  # type: ignore[arg-type]  # one keyword of three
    await _spend(budget, Decimal(100), user="bob", component="chat", provider="anthropic")


async def test_a_limit_for_each_counts_everybody_apart_and_a_name_of_its_own_comes_first(database: Database) -> None:
    limits = [_limit("1", "daily", "user", EACH), _limit("2", "daily", "user", "boss")]
    budget = Budget(database, "enforce", limits=limits)
    for user, amount in (("ann", "1"), ("bob", "1"), ("", "1"), ("boss", "2")):
        await _spend(budget, Decimal(amount), user=user)
        with pytest.raises(BudgetExceededError):
            await budget.reserve(CENT, user=user)
    standings = {(standing.limit.name, standing.name): standing.spent for standing in await budget.status()}
    assert standings[EACH, "ann"] == standings[EACH, "bob"] == standings[EACH, ""] == 1
    assert standings["boss", "boss"] == 2


@pytest.mark.parametrize(
    ("period", "still", "again"),
    [
        ("daily", "2026-11-20T23:59:59", "2026-11-21T00:00:00"),
        ("weekly", "2026-11-22T23:59:59", "2026-11-23T00:00:00"),
        ("monthly", "2026-11-30T23:59:59", "2026-12-01T00:00:00"),
    ],
)
async def test_a_period_begins_at_midnight_on_monday_and_on_the_1st(
    database: Database, period: Period, still: str, again: str
) -> None:
    zone = "America/New_York"
    clock = Clock("2026-11-20T12:00:00-05:00")
    budget = Budget(database, "enforce", limits=[_limit("1", period)], timezone=zone, clock=clock)
    await _spend(budget, Decimal(1))
    clock.now = datetime.fromisoformat(still).replace(tzinfo=ZoneInfo(zone)).timestamp()
    with pytest.raises(BudgetExceededError):
        await budget.reserve(CENT)
    clock.now = datetime.fromisoformat(again).replace(tzinfo=ZoneInfo(zone)).timestamp()
    await _spend(budget, Decimal(1))
    (standing,) = await budget.status()
    assert standing.spent == 1
    assert standing.resets_at.hour == 0


_zones = st.sampled_from(
    [
        "UTC",
        "America/New_York",
        "Africa/Cairo",
        "America/Havana",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        None,
    ]
)
_times = st.floats(datetime(2005, 1, 1, tzinfo=UTC).timestamp(), datetime(2035, 1, 1, tzinfo=UTC).timestamp())


@settings(deadline=None)
@given(name=_zones, now=_times, period=st.sampled_from(PERIODS))
def test_every_moment_of_every_zone_lies_in_exactly_one_period(name: str | None, now: float, period: Period) -> None:
    zone = ZoneInfo(name) if name else None
    start, end = period_start(period, now, zone), period_start(period, now, zone, after=1)
    assert start <= now < end
    assert period_start(period, start, zone) == start
    assert period_start(period, math.nextafter(end, 0), zone) == start
    first = datetime.fromtimestamp(start, zone)
    # Where clocks are put forward at midnight, the day begins later.
    assert (first.hour, first.minute) == (0, 0) or datetime.fromtimestamp(start - 1, zone).date() < first.date()
    assert period != "weekly" or first.weekday() == 0
    assert period != "monthly" or first.day == 1


async def test_a_limit_and_a_policy_that_were_set_hold_for_every_process_and_come_before_settings(
    tmp_path: Path,
) -> None:
    here, there = Database(tmp_path / "racto.db"), Database(tmp_path / "racto.db")
    server = Budget(here, "warn", limits=[_limit("100")])
    person = Budget(there)
    await _spend(server, Decimal(2))
    assert (await server.policy(), await person.policy()) == ("warn", "warn")
    await person.set_limit(_limit("1"))
    await person.set_limit(_limit("3", "weekly"))
    await person.set_policy("enforce")
    assert await server.limits() == [_limit("1"), _limit("3", "weekly")]
    with pytest.raises(BudgetExceededError):
        await server.reserve(CENT)
    assert await person.remove_limit("daily") is True
    assert await person.remove_limit("daily") is False
    assert await server.limits() == [_limit("100"), _limit("3", "weekly")]
    await _spend(server, Decimal(1))
    await person.set_policy("ignore")
    await _spend(server, Decimal(1000))
    with pytest.raises(InputError, match="enforce"):
        await person.set_policy("strict")  # type: ignore[arg-type]  # what the test is about
    here.close()
    there.close()


async def test_two_processes_see_what_the_other_spends(tmp_path: Path) -> None:
    databases = [Database(tmp_path / "racto.db") for _ in range(2)]
    first, second = (Budget(database, "enforce", limits=[_limit("1")]) for database in databases)
    for turn in range(10):
        await _spend(first if turn % 3 else second, Decimal("0.1"))
    for budget in (first, second):
        with pytest.raises(BudgetExceededError):
            await budget.reserve(CENT)
        assert await budget.pressure() == 1
    for database in databases:
        database.close()


def test_a_reader_that_is_behind_the_writer_does_not_spoil_the_sums(database: Database) -> None:
    ledger = Ledger(database)
    with ledger.reading() as behind:
        assert behind.spent("user", "ann", 0.0) == 0
        with ledger.writing() as writer:
            writer.record(Usage("p", "m", user="ann", cost=CENT), 10.0)
        with ledger.reading() as ahead:
            assert ahead.spent("user", "ann", 0.0) == units(CENT)
        assert behind.spent("global", "", 0.0) == 0
    with ledger.reading() as now:
        assert now.spent("global", "", 0.0) == now.spent("user", "ann", 0.0) == units(CENT)


async def test_what_is_spent_while_the_clock_was_set_back_belongs_to_the_day_it_showed(database: Database) -> None:
    clock = Clock("2026-11-21T12:00:00+00:00")
    budget = Budget(database, "enforce", limits=[_limit("1")], timezone="UTC", clock=clock)
    await _spend(budget, Decimal("0.5"))
    clock.advance(days=-1)
    await _spend(budget, Decimal("0.5"))
    clock.advance(days=1)
    await _spend(budget, Decimal("0.5"))
    with pytest.raises(BudgetExceededError, match=r"\$1 are spent"):
        await budget.reserve(CENT)


async def test_a_caller_that_is_cancelled_while_it_reserves_holds_nothing(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1")])
    (before,) = await budget.status()
    with database.writing():  # the reservation has to wait for this
        task = asyncio.ensure_future(budget.reserve(Decimal(1)))
        await asyncio.to_thread(lambda: None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    while True:  # until the thread that reserved, and the one that gave back, have ended
        (standing,) = await budget.status()
        waiting = [thread for thread in threading.enumerate() if thread.name == "racto-budget"]
        if not waiting and standing == before and await _could_reserve(budget):
            break
    assert (await budget.status())[0].reserved == 0


async def _could_reserve(budget: Budget) -> bool:
    try:
        await budget.release(await budget.reserve(Decimal(1)))
    except BudgetExceededError:
        return False
    return True


async def test_a_caller_that_is_cancelled_while_it_settles_is_still_charged(database: Database) -> None:
    budget = Budget(database, limits=[_limit("1")])
    reservation = await budget.reserve(CENT)
    with database.writing():
        task = asyncio.ensure_future(budget.settle(reservation, TOKENS, CENT))
        await asyncio.to_thread(lambda: None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    while not (lines := await budget.report(())) or not lines[0].calls:
        pass
    assert (await _total(budget)).cost == CENT


async def test_usage_is_told_by_every_dimension(database: Database) -> None:
    clock = Clock("2026-11-20T12:00:00+00:00")
    budget = Budget(database, timezone="UTC", clock=clock)
    reservation = await budget.reserve(
        CENT, user="ann", component="search", provider="openai", model="big", task="code"
    )
    tokens = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "cached_tokens": 4, "reasoning_tokens": 2}
    await budget.settle(
        reservation, tokens | {"other": 9}, CENT, provider="anthropic", model="small", streamed=True, duration=1.5
    )
    clock.advance(days=1)
    await budget.record(Usage("anthropic", "small", user="bob", cost=Decimal(0), cached="exact", duration=0.5))
    failed = await budget.reserve(CENT, user="bob", provider="openai", model="big")
    await budget.settle(failed, {}, Decimal(0), outcome="rate_limited")
    expected = {
        "user": {"ann": 1, "bob": 2},
        "component": {"search": 1, "": 2},
        "task": {"code": 1, "": 2},
        "provider": {"anthropic": 2, "openai": 1},
        "model": {"small": 2, "big": 1},
        "streamed": {"yes": 1, "no": 2},
        "cached": {"exact": 1, "": 2},
        "outcome": {"ok": 2, "rate_limited": 1},
        "day": {"2026-11-20": 1, "2026-11-21": 2},
    }
    for dimension, calls in expected.items():
        lines = await budget.report((dimension,))  # type: ignore[arg-type]  # a key of the dictionary above
        assert {line.of[dimension]: line.calls for line in lines} == calls
    (line,) = await budget.report(("user", "day"), only={"model": "small", "streamed": "yes"})
    assert line.of == {"user": "ann", "day": "2026-11-20"}
    assert line.tokens == tokens | {"cache_write_tokens": 0}
    assert (line.cost, line.duration, line.unpriced) == (CENT, 1.5, 0)
    assert (await _total(budget)).duration == 2.0
    with pytest.raises(InputError, match="not kept by 'colour'"):
        await budget.report(("colour",))  # type: ignore[arg-type]  # what the test is about


async def test_a_report_covers_the_time_it_was_asked_for(database: Database) -> None:
    clock = Clock("2026-11-20T23:00:00+00:00")
    budget = Budget(database, timezone="UTC", clock=clock)
    await _spend(budget, CENT)
    clock.advance(hours=2)
    await _spend(budget, 2 * CENT)
    assert [line.cost for line in await budget.report(period="daily")] == [2 * CENT]
    assert [line.cost for line in await budget.report(period="weekly")] == [3 * CENT]
    midnight = datetime(2026, 11, 21)
    assert [line.cost for line in await budget.report(since=midnight)] == [2 * CENT]
    assert [line.cost for line in await budget.report(until=midnight)] == [CENT]
    assert await budget.report(since=midnight + timedelta(days=1)) == []
    with pytest.raises(InputError, match="one of them"):
        await budget.report(period="daily", since=midnight)


@given(st.lists(st.decimals(0, 100, places=12), max_size=20))
def test_money_is_exact(costs: list[Decimal]) -> None:
    assert dollars(sum(map(units, costs))) == sum(costs)
    assert all(dollars(units(cost)) == cost for cost in costs)


def test_what_is_finer_than_the_unit_is_rounded_up_when_it_is_set_aside() -> None:
    assert units(Decimal("1e-13")) == 0
    assert units(Decimal("1e-13"), up=True) == 1
    for amount in ("-1", "nan", "inf", "1e7"):
        with pytest.raises(InputError, match="not an amount"):
            units(Decimal(amount))


_moves = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.sampled_from(["ann", "bob"]), st.integers(0, 60)),
        st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 60)),
        st.tuples(st.just("release"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([300, 3600 * 13]), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(moves=_moves)
def test_any_sequence_of_calls_stands_as_plain_arithmetic_says(moves: list[tuple[str, Any, int]]) -> None:
    async def play(database: Database) -> None:
        clock = Clock()
        limits = [_limit("1.00"), _limit("1.50", "weekly"), _limit("0.60", "daily", "user", EACH)]
        budget = Budget(database, "enforce", limits=limits, timezone="UTC", clock=clock)
        open_: list[Any] = []
        spent: list[tuple[float, str, int]] = []  # when, who, cents

        def allowed(user: str, cents: int) -> bool:
            held = [(each.user, each.cents) for each in open_ if each.until > clock.now]
            for limit, most, whose in ((limits[0], 100, None), (limits[1], 150, None), (limits[2], 60, user)):
                start = period_start(limit.period, clock.now, ZoneInfo("UTC"))
                used = sum(cost for at, who, cost in spent if at >= start and whose in (None, who))
                if used + sum(cost for who, cost in held if whose in (None, who)) + cents > most:
                    return False
            return True

        for name, what, cents in moves:
            if name == "reserve":
                expected = allowed(what, cents)
                try:
                    reservation = await budget.reserve(cents * CENT, user=what)
                except BudgetExceededError:
                    assert not expected
                else:
                    assert expected
                    open_.append(_Open(reservation, what, cents, clock.now + 900))
            elif name == "wait":
                clock.advance(seconds=what)
            elif open_:
                each = open_.pop(what % len(open_))
                if name == "release":
                    await budget.release(each.reservation)
                else:
                    await budget.settle(each.reservation, TOKENS, cents * CENT)
                    spent.append((clock.now, each.user, cents))
        lines = await budget.report(("user",))
        by_user = {user: sum(cost for _, who, cost in spent if who == user) for _, user, _ in spent}
        assert {line.of["user"]: line.cost for line in lines} == {user: cost * CENT for user, cost in by_user.items()}

    database = Database()
    try:
        asyncio.run(play(database))
    finally:
        database.close()


class _Open:
    def __init__(self, reservation: Any, user: str, cents: int, until: float) -> None:
        self.reservation, self.user, self.cents, self.until = reservation, user, cents, until


def test_settings_that_cannot_be_are_refused(database: Database) -> None:
    with pytest.raises(ConfigError, match="enforce"):
        Budget(database, "strict")  # type: ignore[arg-type]  # what the test is about
    for zone in ("Mars/Olympus", "../etc/passwd"):
        with pytest.raises(ConfigError, match="no time zone"):
            Budget(database, timezone=zone)
    for arguments in (
        ("hourly", CENT),
        ("daily", -CENT),
        ("daily", CENT, "team", "a"),
        ("daily", CENT, "user"),
        ("daily", CENT, "global", "a"),
    ):
        with pytest.raises(InputError):
            BudgetLimit(*arguments)


async def test_an_uncontended_step_is_done_on_the_callers_own_thread(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("100")])
    await _spend(budget, CENT)  # opens the file, and adds up the period
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        occupied = threading.Event()
        pool.submit(occupied.wait)
        for _ in range(10):  # no thread is free: nothing here may need one
            await _spend(budget, CENT)
        occupied.set()
        assert (await _total(Budget(database))).cost == 11 * CENT


async def test_the_log_is_moved_into_the_file_although_most_steps_leave_that_to_others(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "racto.db")) as database:
        budget = Budget(database, "enforce", limits=[_limit("100")])
        for _ in range(1_000):
            await _spend(budget, Decimal("0.001"))
        log = tmp_path / "racto.db-wal"
        assert log.stat().st_size < 8 * 2**20  # 7,000 pages of 4 KB were written, 1,000 are moved at a time


async def test_a_loop_goes_on_while_a_reservation_waits_for_another_process(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1")])
    await _spend(budget, CENT)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(budget.reserve(CENT))
        await asyncio.to_thread(lambda: None)
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert (await waiting).amount == CENT


async def test_the_first_call_of_somebody_adds_up_in_a_thread_and_warns_once(database: Database) -> None:
    budget = Budget(database, "enforce", limits=[_limit("1"), _limit("9", scope="user", name=EACH)])
    await _spend(budget, CENT, user="ann")
    reservation = await budget.reserve(
        Decimal("0.9"), user="ben"
    )  # near the first limit; the sum of the second is not known
    assert len(reservation.warnings) == 1
