"""What calls to models cost and may cost: reports, and limits that a person agrees to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import ResourceEntry, Toolset
from ..agents.toolbox import Tool
from ..knowledge.edge import blocking
from ..knowledge.errors import DeclinedError, InputError
from .chat import dollars

if TYPE_CHECKING:
    from ..agents.budget import Budget
    from ..agents.limits import Standing
    from ..knowledge.ledger import Dimension, UsageLine
    from .services import Services

By = Literal["user", "component", "task", "provider", "model", "streamed", "cached", "outcome", "day"]


def toolset(services: Services) -> Toolset:
    """Reports and limits, to call, and the report to read."""
    tools = UsageTools(services)
    return Toolset(
        "usage",
        tools=(Tool.of(tools.usage_report, read_only=True), Tool.of(tools.budget_set, idempotent=True)),
        resources=(UsageResource(services),),
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """What some calls took together.

    :param of: What they have in common.
    :param cost: US dollars, of the calls whose price is known.
    :param unpriced: Calls whose price is not known.
    :param seconds: All of them together.
    """

    of: dict[str, str]
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    unpriced: int
    seconds: float

    def __str__(self) -> str:
        what = ", ".join(f"{value or '-'}" for value in self.of.values()) or "all"
        missing = f" and {self.unpriced} of unknown price" if self.unpriced else ""
        return f"{what}: {dollars(self.cost)}{missing} · {self.calls:,} calls · {self.prompt_tokens:,} + {self.completion_tokens:,} tokens"


@dataclass(frozen=True, slots=True)
class Limit:
    """How a limit stands; amounts are US dollars."""

    period: str
    scope: str
    name: str
    amount: Decimal
    spent: Decimal
    reserved: Decimal
    remaining: Decimal
    resets_at: str

    def __str__(self) -> str:
        whose = f" of {self.scope} {self.name}" if self.name else ""
        return f"{self.period} limit{whose}: {dollars(self.spent)} of {dollars(self.amount)} spent, resets {self.resets_at}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was spent, the dearest first, and how the limits stand."""

    lines: list[Spent]
    limits: list[Limit]
    policy: str

    def render(self) -> str:
        """One line for each."""
        lines = [*map(str, self.lines)] or ["No call was made yet."]
        limits = [*map(str, self.limits)] or ["No limit is set."]
        return "\n".join([*lines, *limits, f"Policy: {self.policy}."])


class UsageTools:
    """The tools; each method is one.

    :param services: The budget.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def usage_report(
        self,
        by: list[By] = ["provider", "model"],  # noqa: B006 - never changed; a plain default keeps the schema flat
        period: Literal["ever", "daily", "weekly", "monthly"] = "ever",
        since: Annotated[str, Field(description="ISO time, instead of a period")] = "",
        until: Annotated[str, Field(description="likewise, not included")] = "",
    ) -> Report:
        """What calls to models cost, and how the budget stands."""
        models = await self._services.models()
        return await report(models.budget, by, period=period, since=since, until=until)

    async def budget_set(
        self,
        call: ToolContext,
        period: Literal["none", "daily", "weekly", "monthly"] = "none",
        amount: Annotated[float, Field(ge=-1, le=1_000_000, description="US dollars; -1 removes it")] = -1,
        scope: Literal["global", "user", "component", "provider"] = "global",
        name: Annotated[str, Field(description="whose, by scope; *: each")] = "",
        policy: Annotated[
            Literal["unchanged", "ignore", "warn", "enforce"], Field(description="enforce refuses calls over a limit")
        ] = "unchanged",
        confirm: bool = False,
    ) -> str:
        """Set or remove a spending limit, or set what limits do. The person is asked first.

        :param confirm: the person said yes
        """
        if period == "none" and policy == "unchanged":
            raise InputError("Nothing is to be set.", "Give a period with its amount, or a policy.")
        from ..agents.limits import BudgetLimit

        limit = BudgetLimit(period, Decimal(str(amount)), scope, name) if period != "none" and amount >= 0 else None
        budget = (await self._services.models()).budget
        said = []
        if period != "none":
            of = f"{period} limit{f' of {scope} {name}' if name else ''}"
            said.append(f"set the {of} to {dollars(limit.amount)}" if limit else f"remove the {of}")
            known = [(each.period, each.scope, each.name) for each in await budget.limits()]
            if not limit and (period, scope, name) not in known:
                raise InputError(f"There is no {of}.", "usage_report lists them.")
        said += [f"set the policy to {policy}"] if policy != "unchanged" else []
        asked = " and ".join(said)
        answer = await call.confirm(f"{asked[0].upper()}{asked[1:]}?")
        if answer is False:
            raise DeclinedError("The budget was not changed: the person said no.")
        if answer is None and not confirm:
            raise InputError(f"This would {asked}.", "Ask the person, then call again with confirm=true.")
        if limit:
            await budget.set_limit(limit)
        elif period != "none" and not await budget.remove_limit(period, scope, name):
            raise InputError(
                f"The {of} is one of the settings.", "It is changed there; another amount set here comes before it."
            )
        if policy != "unchanged":
            await budget.set_policy(policy)
        return f"Done: {asked}."


async def report(
    budget: Budget,
    by: list[By],
    *,
    period: Literal["ever", "daily", "weekly", "monthly"] = "ever",
    since: str = "",
    until: str = "",
) -> Report:
    """What was spent, and how the limits stand.

    :param since: ISO 8601; `until` likewise.
    :raises InputError: a time cannot be read.
    """
    dimensions: list[Dimension] = list(dict.fromkeys(by))
    lines = await budget.report(
        dimensions, period=None if period == "ever" else period, since=_time(since), until=_time(until)
    )
    standings = await budget.status()
    return Report([_spent(line) for line in lines], [_limit(each) for each in standings], await budget.policy())


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{text!r} is no time.", "Write it as 2026-11-20 or 2026-11-20T18:00.") from None


def _spent(line: UsageLine) -> Spent:
    prompt, completion = line.tokens["prompt_tokens"], line.tokens["completion_tokens"]
    return Spent(line.of, line.calls, prompt, completion, line.cost, line.unpriced, round(line.duration, 3))


def _limit(standing: Standing) -> Limit:
    limit = standing.limit
    return Limit(
        limit.period,
        limit.scope,
        standing.name,
        limit.amount,
        standing.spent,
        standing.reserved,
        standing.remaining,
        standing.resets_at.isoformat(timespec="minutes"),
    )


class UsageResource:
    """What was spent this month, to read.

    :param services: The budget.
    """

    template = "racto://usage"
    name = "Usage"
    description = "What calls to models cost this month, by provider and model, and how the limits stand."
    mime_type = "text/plain"

    def __init__(self, services: Services) -> None:
        self._services = services

    def entries(self) -> list[ResourceEntry]:
        """The report itself."""
        return [ResourceEntry(self.template, self.name, self.description, self.mime_type)]

    def read(self, variables: Mapping[str, str]) -> list[str]:
        """The report as text."""
        return [blocking(report)(self._services.connected().budget, ["provider", "model"], period="monthly").render()]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """There is nothing to complete."""
        return []
