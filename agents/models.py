"""What is known of every model: limits, capabilities, parameters, prices, how long it will be there.

Three layers, of which each wins over those before it in what it says: the seed that comes with racto, a registry file fetched from
elsewhere when somebody asks for it, and what the providers themselves say. Nothing here goes to the net on its own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..knowledge.errors import ModelNotAvailableError, RactoGatewayError
from . import prices
from .model_listings import read
from .model_metadata import ModelMetadata, ModelStatus, parse
from .prices import PricingInfo, Published
from .providers import Provider

SEED = Path(__file__).with_name("seed_models.json")
_REMEMBERED = 4096  # names, which callers may make up


@runtime_checkable
class DescribesModels(Protocol):
    """A provider that has to be asked about one model at a time."""

    async def facts(self, model: str) -> Any:
        """With `context` in tokens or `None`, and `capabilities` in the provider's words."""
        ...


class ModelRegistry:
    """What is known of every model, in three layers. Safe from any thread.

    :param remote: The text of a fetched registry, as `remote_registry.cached` gives it; `None` for none.
    :param providers: Who can be asked, in the order they are asked.
    :raises ConfigError: the fetched registry cannot be read.
    """

    def __init__(self, remote: str | None = None, providers: Sequence[Provider] = ()) -> None:
        self._providers = tuple(providers)
        self._lock = threading.Lock()
        self._remote = parse(remote, "remote") if remote is not None else []
        self._live: dict[tuple[str, str], ModelMetadata] = {}
        self._known: dict[tuple[str, str | None], ModelMetadata | None] = {}

    def use(self, remote: str) -> int:
        """Put another fetched registry in the place of the one there is.

        :returns: How many entries it has.
        :raises ConfigError: it cannot be read; then nothing changes.
        """
        entries = parse(remote, "remote")
        with self._lock:
            self._remote = entries
            self._known = {}
        return len(entries)

    def learn(self, provider: str, listing: Iterable[Mapping[str, Any]]) -> list[ModelMetadata]:
        """Take in what a provider says of its models, as `Provider.models` gives it.

        :returns: What was understood of it.
        """
        entries = [read(provider, entry).model_copy(update={"source": "live"}) for entry in listing]
        with self._lock:
            self._live |= {(provider, entry.id): entry for entry in entries}
            self._known = {}
        return entries

    def metadata(self, model: str, provider: str | None = None) -> ModelMetadata | None:
        """What is known of a model, without asking anybody.

        A dated release is the model it is a release of, where nothing is said of it alone. Another provider's word counts where this one
        (a proxy, a compatible server) has none, but for the price.

        :param provider: `None` for whoever makes it.
        """
        key = (model, provider)
        known = self._known
        if key not in known:
            if len(known) >= _REMEMBERED:
                known.clear()
            known[key] = self._merged(model, provider)
        return known[key]

    async def fetch(self, model: str, provider: str | None = None) -> ModelMetadata | None:
        """What is known of a model, after the providers were asked that have not told of it yet; `None` when nobody knows it.

        :raises RactoGatewayError: the last provider that was asked failed, and nothing is known.
        """
        failure: RactoGatewayError | None = None
        for each in self._providers:
            if provider not in (None, each.name):
                continue
            if (each.name, model) in self._live:
                break
            try:
                self.learn(each.name, await each.models())
                if isinstance(each, DescribesModels):
                    facts = await each.facts(model)
                    about = {"id": model, "context_length": facts.context, "capabilities": list(facts.capabilities)}
                    self.learn(each.name, [about])
                failure = None
            except ModelNotAvailableError:
                continue
            except RactoGatewayError as error:
                failure = error  # one provider that is down must not hide what the next one knows
            if (each.name, model) in self._live:
                break
        found = self.metadata(model, provider)
        if found is None and failure is not None:
            raise failure
        return found

    def models(self, provider: str | None = None) -> list[ModelMetadata]:
        """Every model known by name, by provider and name, without those that are gone."""
        with self._lock:
            entries = [*_seed(), *self._remote, *self._live.values()]
        names = {(each.provider, each.id) for each in entries if "*" not in each.id and each.provider}
        found = (self.metadata(model, owner) for owner, model in sorted(names) if provider in (None, owner))
        return [each for each in found if each is not None and each.status is not ModelStatus.RETIRED]

    def pricing(
        self, provider: str, model: str, *, base_url: str = "", context: Mapping[str, str] | None = None
    ) -> PricingInfo | None:
        """What a model costs: as its entry says, else as it is published; `None` when neither does.

        :param base_url: Of an OpenAI-compatible server, which tells whose prices count.
        :param context: What else decides: `service_tier` (`flex`, `priority`), `processing` (`batch`).
        """
        known = self.metadata(model, provider)
        if known is not None and known.listed is not None:
            return known.listed if provider in prices.LOCAL else prices.hosted(known.listed)
        return prices.pricing(provider, model, base_url=base_url, context=context or {})

    def cost(self, provider: str, model: str, usage: Mapping[str, int], **about: Any) -> Decimal | None:
        """US dollars for a call, exact; `None` when the price is not known. `about` as in `pricing`."""
        price = self.pricing(provider, model, **about)
        return price.cost(usage) if price else None

    def estimate(self, provider: str, model: str, prompt_tokens: int, max_tokens: int, **about: Any) -> Decimal | None:
        """The most a call can cost that is not made yet, for reserving; `about` as in `pricing`."""
        price = self.pricing(provider, model, **about)
        return price.at_most(prompt_tokens, max_tokens) if price else None

    def _merged(self, model: str, provider: str | None) -> ModelMetadata | None:
        with self._lock:
            layers = (_seed(), self._remote, list(self._live.values()))
        names = _names(model)
        matches = [
            (fit, layer, entry)
            for layer, entries in enumerate(layers)
            for entry in entries
            if (fit := _fit(entry.id, names))
        ]
        matches.sort(key=lambda match: match[:2])
        mine = [match for match in matches if match[2].provider in (provider, "")] if provider else matches
        borrowed = bool(provider and not mine and provider not in prices.LOCAL)
        chosen = matches if borrowed else mine
        if chosen:  # of several makers, the one whose entry fits best
            maker = chosen[-1][2].provider
            chosen = [match for match in chosen if match[2].provider in (maker, "")]
        said: dict[str, Any] = {"id": model, "provider": provider or ""}
        sources: list[str] = []
        for _, _, entry in chosen:
            new = {name: getattr(entry, name) for name in entry.model_fields_set - {"id", "source"}}
            parameters = {**said.get("parameters", {}), **entry.parameters}
            said |= {**new, "parameters": parameters}
            sources.append(entry.source)
        if borrowed:
            said |= {"provider": provider, "listed": None}
        return _completed(said, sources)


def _completed(said: dict[str, Any], sources: list[str]) -> ModelMetadata | None:
    """The merged entry, with what is published where the layers say nothing; `None` when nobody knows the model."""
    more: Published | None = None
    if said.get("context_window") is None:
        more = prices.published(said["provider"], said["id"])
    if more is not None:
        said["context_window"] = more.context_window
        said["deprecated"] = said.get("deprecated", False) or more.deprecated
        sources.append("published")
    if not sources:
        return None
    return ModelMetadata.model_construct(**said, source="+".join(dict.fromkeys(sources)))


_DATED = re.compile(r"[-@](?:20\d\d-?\d\d-?\d\d|latest)$")


@cache
def _seed() -> list[ModelMetadata]:
    return parse(SEED.read_bytes(), "seed")


def _names(model: str) -> list[str]:
    """What a model may be listed as, the most exact first: as it is called, as a release, behind the name of its maker."""
    name = model.lower().removeprefix("models/").removeprefix("ft:")
    short = name.rpartition("/")[2].partition(":")[0]
    names = [model, name, _DATED.sub("", name), short, _DATED.sub("", short)]
    return list(dict.fromkeys(names))


def _fit(listed: str, names: Sequence[str]) -> int:
    """How well an entry fits: 0 not at all, a pattern by its length, a name better than any pattern."""
    listed = listed if listed in names else listed.lower()
    if "*" in listed:
        return len(listed) if any(fnmatchcase(name, listed) for name in names) else 0
    return 10_000 - names.index(listed) if listed in names else 0
