"""What models there are, as a tool and as a resource."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..agents.offers import ResourceEntry, Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import RactoGatewayError, unknown_name

if TYPE_CHECKING:
    from ..agents.model_metadata import ModelMetadata
    from ..agents.routing import Endpoint
    from .services import Models, Services


def toolset(services: Services) -> Toolset:
    """The list of models, to call and to read."""
    tools = ModelTools(services)
    return Toolset(
        "models",
        tools=(Tool.of(tools.models_list, read_only=True, open_world=True),),
        resources=(ModelResource(services),),
    )


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model.

    :param input: US dollars for a million tokens read; `None` when not known, as `output` for those written.
    :param chosen: It answers when a call names no model.
    """

    model: str
    context_window: int | None
    max_output_tokens: int | None
    input: Decimal | None
    output: Decimal | None
    tier: str
    status: str
    capabilities: list[str]
    chosen: bool

    def __str__(self) -> str:
        window = f"{self.context_window:,} tokens" if self.context_window else "window unknown"
        price = "price unknown" if self.input is None else f"${self.input:f} in, ${self.output or Decimal(0):f} out"
        said = [self.model, window, price, " ".join(self.capabilities)]
        said += [self.status] if self.status != "active" else []
        return f"{'* ' if self.chosen else ''}{' · '.join(filter(None, said))}"


@dataclass(frozen=True, slots=True)
class ModelList:
    """Models that are known, those that answer by default first.

    :param total: How many there are of the kind asked for.
    :param unreachable: Provider → why it could not be asked.
    """

    models: list[ModelLine]
    total: int
    unreachable: dict[str, str]

    def render(self) -> str:
        """One line for each; prices are for a million tokens, `*` marks those that answer when none is named."""
        lines = [*map(str, self.models)] or ["No such model is known."]
        if self.total > len(self.models):
            lines.append(f"[{len(self.models)} of {self.total}; name a provider or a part of the name for the others]")
        return "\n".join([*lines, *(f"{name} was not asked: {why}" for name, why in self.unreachable.items())])


class ModelTools:
    """The tools; each method is one.

    :param services: The models.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def models_list(
        self,
        provider: str = "",
        name: Annotated[str, Field(description="part of the name")] = "",
        capability: Annotated[str, Field(description="chat, embed, tools, schema, images, documents, reasoning")] = "",
        live: Annotated[bool, Field(description="ask the provider itself")] = False,
        limit: Annotated[int, Field(ge=1, le=500)] = 40,
    ) -> ModelList:
        """List models with context window, price per million tokens and abilities; local ones are always looked up."""
        models = await self._services.models()
        unreachable = await refreshed(models, provider, live)
        default = await models.gateway.default()
        lines = await asyncio.to_thread(listed, models, provider, name, capability, default)
        return ModelList(lines[:limit], len(lines), unreachable)


async def refreshed(models: Models, provider: str = "", live: bool = False) -> dict[str, str]:
    """Ask providers what they have: those on this machine, and with `live` the one named or all.

    :returns: Provider → why it could not be asked, of those that were named.
    :raises UnknownNameError: there is no such provider.
    """
    providers = models.gateway.routes.providers
    if provider and provider not in providers:
        raise unknown_name("provider", provider, providers)
    asked = [each for name, each in providers.items() if provider in ("", name) and (live or each.local)]
    chosen = {each.provider.name for each in models.gateway.routes.chain} | {provider}

    async def ask(name: str) -> tuple[str, str]:
        try:
            models.registry.learn(name, await providers[name].models())
        except RactoGatewayError as error:
            return name, str(error)
        return name, ""

    outcomes = await asyncio.gather(*(ask(each.name) for each in asked))
    return {name: why for name, why in outcomes if why and (live or name in chosen)}


def listed(
    models: Models, provider: str = "", name: str = "", capability: str = "", default: Endpoint | None = None
) -> list[ModelLine]:
    """The models known, those of the chain first; looking up prices for the first time blocks for 300 ms.

    :param default: Who answers when there is no chain.
    """
    first = models.gateway.routes.chain or ([default] if default else [])
    chain = [(each.provider.name, each.model) for each in first]
    known = {(each.provider, each.id): each for each in models.registry.models(provider or None)}
    for owner, model in chain:
        if provider in ("", owner) and (owner, model) not in known:
            about = models.registry.metadata(model, owner)
            known |= {(owner, model): about} if about else {}
    wanted = [
        each
        for each in known.values()
        if name.casefold() in each.id.casefold() and (not capability or capability in each.capabilities)
    ]
    order = {key: place for place, key in enumerate(chain)}
    wanted.sort(key=lambda each: (order.get((each.provider, each.id), len(order)), each.provider, each.id))
    return [_line(each, (each.provider, each.id) in order) for each in wanted]


def _line(about: ModelMetadata, chosen: bool) -> ModelLine:
    pricing: Any = about.pricing
    return ModelLine(
        f"{about.provider}/{about.id}",
        about.context_window,
        about.max_output_tokens,
        pricing.input if pricing else None,
        pricing.output if pricing else None,
        str(about.tier or ""),
        str(about.status),
        sorted(map(str, about.capabilities)),
        chosen,
    )


class ModelResource:
    """Every model known, to read.

    :param services: The models.
    """

    template = "racto://models"
    name = "Models"
    description = "The models racto knows, with window, price per million tokens and abilities."
    mime_type = "text/plain"

    def __init__(self, services: Services) -> None:
        self._services = services

    def entries(self) -> list[ResourceEntry]:
        """The list itself."""
        return [ResourceEntry(self.template, self.name, self.description, self.mime_type)]

    def read(self, variables: Mapping[str, str]) -> list[str]:
        """One line for each model."""
        lines = listed(self._services.connected())
        return [ModelList(lines, len(lines), {}).render()]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """There is nothing to complete."""
        return []
