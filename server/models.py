"""The way to the models, from settings: which providers there are, with which keys, in which order, within which budget."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..agents.budget import Budget
from ..agents.gateway import ModelGateway
from ..agents.limits import BudgetLimit
from ..agents.models import ModelRegistry
from ..agents.providers import PROVIDERS, Provider, make
from ..agents.remote_registry import RemoteRegistryConfig, cached
from ..agents.routing import CostAwareRouter, Endpoint, RoutingConfig, RoutingTier, TaskRouter
from ..agents.truncation import TokenTruncator
from ..knowledge.errors import ConfigError, unknown_name
from ..tools.services import Models
from .secrets import KNOWN, secret

if TYPE_CHECKING:
    from ..agents.caches import ExactMatchCache
    from ..agents.telemetry import Telemetry
    from ..knowledge.database import Database
    from .settings import Settings

HOSTED = ("openrouter", "mistral")
"""OpenAI-compatible services that have an address and a key of their own."""
SERVERS = ("vllm", "tgi", "llamacpp", "lmstudio")
"""OpenAI-compatible servers of one's own, each at its usual address unless `base_urls` says otherwise."""
NAMES = (*PROVIDERS, *HOSTED, *SERVERS)
"""What may stand before the slash of `models`."""
ALWAYS = ("openai", "anthropic", "google", "ollama", "huggingface", "voyage", *HOSTED, "simulated")
"""Providers a call may name though no setting does; without its key one says which key it wants."""


def connect(settings: Settings, database: Database) -> Models:
    """The way to the models of these settings. Nobody is called yet, and no SDK imported.

    :raises ConfigError: a model has no known provider, or another setting cannot be.
    """
    providers: dict[str, Provider] = {}
    chain = _endpoints("models", settings, providers)
    embedders = _endpoints("embedding_models", settings, providers)
    for name in ALWAYS:
        _provider(name, settings, providers)
    remote = remote_registry(settings)
    registry = ModelRegistry(cached(remote) if remote else None, tuple(providers.values()))
    budget = _budget(settings, database)
    tiers = [RoutingTier(model=model, max_score=score) for model, score in settings.tiers.items()]
    gateway = ModelGateway(
        chain=chain,
        embedders=embedders,
        providers=tuple(providers.values()),
        truncator=TokenTruncator(models=registry),
        exact_cache=_cache(settings, database),
        budget=budget,
        models=registry,
        telemetry=_telemetry(settings),
        router=CostAwareRouter(tiers) if tiers else None,
        tasks=TaskRouter.from_file(settings.task_config) if settings.task_config else None,
        routing=RoutingConfig(by=settings.route_by),
    )
    return Models(gateway, budget, registry)


def _endpoints(setting: str, settings: Settings, providers: dict[str, Provider]) -> list[Endpoint]:
    names: Iterable[str] = getattr(settings, setting)
    endpoints = []
    for name in names:
        provider, _, model = name.partition("/")
        if not model or provider not in NAMES:
            hint = unknown_name("provider", provider, NAMES).hint if model else "Write it as openai/gpt-4o."
            raise ConfigError(f"{name!r} in the setting {setting} names no provider and model.", hint)
        endpoints.append(Endpoint(_provider(provider, settings, providers), model))
    return endpoints


def _provider(name: str, settings: Settings, providers: dict[str, Provider]) -> Provider:
    """The adapter of a provider, made once."""
    if name not in providers:
        options: dict[str, str] = {}
        if key := next(filter(None, (secret(each) for each, whose in KNOWN.items() if whose == name)), None):
            options["api_key"] = key
        if url := settings.base_urls.get(name):
            options["base_url"] = url
        if name in PROVIDERS:
            providers[name] = make(name, **options)
        else:
            providers[name] = make("openai_compatible", server=name, **options)
    return providers[name]


def _budget(settings: Settings, database: Database) -> Budget:
    limits = (
        BudgetLimit("daily", settings.budget_daily_limit) if settings.budget_daily_limit is not None else None,
        BudgetLimit("weekly", settings.budget_weekly_limit) if settings.budget_weekly_limit is not None else None,
        BudgetLimit("monthly", settings.budget_monthly_limit) if settings.budget_monthly_limit is not None else None,
    )
    return Budget(
        database,
        settings.budget_policy,
        limits=[limit for limit in limits if limit is not None],
        timezone=settings.budget_timezone,
    )


def _cache(settings: Settings, database: Database) -> ExactMatchCache | None:
    if not settings.cache_seconds:
        return None
    from ..agents.caches import ExactMatchCache
    from ..knowledge.keyvalue.sqlite import SQLiteKeyValue

    return ExactMatchCache(
        ttl_seconds=settings.cache_seconds, store=SQLiteKeyValue(database, namespace="chat", max_entries=10_000)
    )


def _telemetry(settings: Settings) -> Telemetry | None:
    if not settings.telemetry:
        return None
    from ..agents.telemetry import RactoTracer, Telemetry

    return Telemetry(RactoTracer())


def remote_registry(settings: Settings) -> RemoteRegistryConfig | None:
    if settings.registry_url is None:
        return None
    return RemoteRegistryConfig(url=settings.registry_url, cache_path=settings.database.with_name("models.json"))
