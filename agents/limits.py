"""How much may be spent in which period, and how that stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final, Literal, TypeVar, get_args

from ..knowledge.errors import BudgetExceededError, InputError
from ..knowledge.ledger import SCOPES, Period, Scope, units

T = TypeVar("T")

Policy = Literal["ignore", "warn", "enforce"]

POLICIES: Final = get_args(Policy)
PERIODS: Final = get_args(Period)

EACH: Final = "*"
"""The name of a limit that holds for everybody of its scope, each by itself."""


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """How much may be spent in a period.

    :param period: `daily` begins at midnight, `weekly` on Monday, `monthly` on the 1st.
    :param amount: US dollars.
    :param scope: `global`, or whose limit it is: of a `user`, `component` or `provider`.
    :param name: Which one; `*` for each by itself.
    :raises InputError: one of these is not what it should be.
    """

    period: Period
    amount: Decimal
    scope: Scope = "global"
    name: str = ""

    def __post_init__(self) -> None:
        one_of("period", self.period, PERIODS)
        one_of("scope", self.scope, SCOPES)
        units(self.amount)
        if (self.scope == "global") != (self.name == ""):
            raise InputError(
                f"A limit of the scope {self.scope} {'has no name' if self.name else 'needs a name'}.",
                f"Give the name of the {self.scope}, or {EACH!r} for each." if self.scope != "global" else "",
            )


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


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands.

    :param name: Whom it is about, as `limit.name` may be each.
    :param spent: US dollars, in this period so far.
    :param reserved: US dollars that running calls may cost.
    :param resets_at: When the next period begins.
    """

    limit: BudgetLimit
    name: str
    spent: Decimal
    reserved: Decimal
    resets_at: datetime

    @property
    def remaining(self) -> Decimal:
        """US dollars that may still be spent."""
        return max(Decimal(0), self.limit.amount - self.spent - self.reserved)

    @property
    def share(self) -> float:
        """The part of the limit that is spent or set aside: 0 for none, 1 for all, more when it was passed."""
        return share_of(self.spent + self.reserved, self.limit.amount)


def period_start(period: Period, now: float, zone: tzinfo | None, *, after: int = 0) -> float:
    """When the period that holds `now` began, in seconds since 1970.

    :param zone: Where midnight is looked for; `None` for the local time.
    :param after: So many periods later.
    """
    day = datetime.fromtimestamp(now // 1, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period == "daily":
        day += timedelta(days=after)
    elif period == "weekly":
        day += timedelta(days=7 * after - day.weekday())
    else:
        months = day.year * 12 + day.month - 1 + after
        day = day.replace(year=months // 12, month=months % 12 + 1, day=1)
    return day.timestamp()


def one_of(kind: str, value: T, known: Sequence[str]) -> T:
    """`value` as it is.

    :raises InputError: it is none of those known.
    """
    if value not in known:
        raise InputError(f"There is no {kind} {value!r}.", f"Use one of: {', '.join(known)}.")
    return value


def share_of(used: Decimal | int, amount: Decimal | int) -> float:
    """The part of `amount` that is used; of nothing, all is."""
    return float(used / amount) if amount else 1.0


def _of(standing: Standing) -> str:
    limit = standing.limit
    whose = "" if limit.scope == "global" else f" of {limit.scope} {standing.name!r}"
    return f"{limit.period} budget{whose}"


def warning(standing: Standing, wanted: Decimal) -> str:
    """What a person should know who comes near a limit.

    :param wanted: US dollars, this call included.
    """
    return f"With this call up to ${wanted:f} of the {_of(standing)} (${standing.limit.amount:f}) is spent."


def exceeded(standing: Standing, amount: Decimal, provider: str, model: str) -> BudgetExceededError:
    """The refusal of a call that may cost `amount`, with what can be done."""
    running = f" and ${standing.reserved:f} set aside for running calls" if standing.reserved else ""
    return BudgetExceededError(
        f"The {_of(standing)} is ${standing.limit.amount:f}: ${standing.spent:f} are spent{running}, this call may cost ${amount:f}.",
        f"Wait until {standing.resets_at:%Y-%m-%d %H:%M}, use a cheaper or local model or fewer max_tokens, raise the limit, or set the"
        " policy to warn.",
        provider=provider,
        model=model,
    )
