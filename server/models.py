"""The way to the models, from settings: which providers there are, with which keys, in which order, within which budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..agents.budget import Budget
from ..agents.gateway import ModelGateway
from ..agents.limits import BudgetLimit
from ..agents.models import ModelRegistry
from ..agents.providers import PROVIDERS, Provider, make
from ..agents.remote_registry import RemoteRegistryConfig, cached
from ..agents.routing import CostAwareRouter, Endpoint, RoutingConfig, RoutingTier, TaskRouter
from ..agents.truncation import TokenTruncator
from ..knowledge.errors import ConfigError, unknown_name
from ..knowledge.vocabulary import EmbeddingConfig
from ..tools.services import Models
from .secrets import KNOWN, secret
from .settings import BUILT_IN, masked

if TYPE_CHECKING:
    from ..agents.caches import ExactMatchCache
    from ..agents.providers.ollama import OllamaProvider
    from ..agents.running_model import RunningModel
    from ..agents.semantic_cache import EmbedFn, SemanticCache
    from ..agents.telemetry import Recorder, Telemetry
    from ..knowledge.database import Database
    from ..knowledge.keyvalue import KeyValue
    from ..knowledge.rate_limit import RateLimiter
    from .settings import Settings

HOSTED = ("openrouter", "mistral")
"""OpenAI-compatible services that have an address and a key of their own."""
SERVERS = ("vllm", "tgi", "llamacpp", "lmstudio")
"""OpenAI-compatible servers of one's own, each at its usual address unless `base_urls` says otherwise."""
NAMES = (*PROVIDERS, *HOSTED, *SERVERS)
"""What may stand before the slash of `models`."""
ALWAYS = ("openai", "anthropic", "google", "ollama", "huggingface", "voyage", *HOSTED, "simulated")
"""Providers a call may name though no setting does; without its key one says which key it wants."""


def connect(settings: Settings, database: Database, *recorders: Recorder) -> Models:
    """The way to the models of these settings. Nobody is called yet, and no SDK imported.

    :param recorders: Who is told of every call, beside those of the settings.
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
        semantic_cache=_semantic_cache(settings, lambda text: _vector(gateway, text)),
        budget=budget,
        models=registry,
        telemetry=_telemetry(settings, recorders),
        router=CostAwareRouter(tiers) if tiers else None,
        tasks=TaskRouter.from_file(settings.task_config) if settings.task_config else None,
        routing=_routing(settings),
        limiter=_limiter(settings, database),
        running=None if chain else _running(providers["ollama"]),
    )
    return Models(gateway, budget, registry)


def _endpoints(setting: str, settings: Settings, providers: dict[str, Provider]) -> list[Endpoint]:
    names: Iterable[str] = getattr(settings, setting)
    endpoints = []
    for name in names:
        if name == BUILT_IN:
            continue  # it is no model; `library.py` makes it
        provider, _, model = name.partition("/")
        if not model or provider not in NAMES:
            hint = unknown_name("provider", provider, NAMES).hint if model else "Write it as openai/gpt-4o."
            raise ConfigError(f"{masked(name)!r} in the setting {setting} names no provider and model.", hint)
        endpoints.append(Endpoint(_provider(provider, settings, providers), model))
    return endpoints


def _provider(name: str, settings: Settings, providers: dict[str, Provider]) -> Provider:
    """The adapter of a provider, made once."""
    if name not in providers:
        options: dict[str, Any] = {}
        url = settings.base_urls.get(name)
        if url:
            options["base_url"] = url
        if name in KNOWN.values():
            # Looked up at the provider's first call: a keyring may ask its owner for every key, and only for those that are used.
            options["api_key"] = partial(_key, name, url)
        if name == "sentence_transformers" and settings.models_folder:
            options["folders"] = [settings.models_folder]
        if name in PROVIDERS:
            providers[name] = make(name, **options)
        else:
            providers[name] = make("openai_compatible", server=name, **options)
    return providers[name]


def _key(name: str, url: str | None) -> str | None:
    """The key of a provider; a server of one's own is not told Hugging Face's."""
    if name == "huggingface" and url:
        from ..agents.providers.huggingface import is_hugging_face

        if not is_hugging_face(url):
            return None
    return next(filter(None, (secret(each) for each, whose in KNOWN.items() if whose == name)), None)


def _running(ollama: Provider) -> RunningModel:
    from ..agents.running_model import RunningModel

    return RunningModel(cast("OllamaProvider", ollama))


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

    if settings.redis_url:
        return ExactMatchCache(ttl_seconds=settings.cache_seconds, store=_shared(settings.redis_url, "chat"))
    kept = SQLiteKeyValue(database, namespace="chat", max_entries=10_000)
    return ExactMatchCache(ttl_seconds=settings.cache_seconds, store=kept)


def _shared(url: str, namespace: str) -> KeyValue:
    from .shared import store

    return store(url, namespace)


def _limiter(settings: Settings, database: Database) -> RateLimiter | None:
    if not settings.tokens_per_minute:
        return None
    from ..knowledge.keyvalue.sqlite import SQLiteKeyValue
    from ..knowledge.rate_limit import FleetRateLimiter, RateLimitConfig

    url = settings.redis_url
    store = _shared(url, "tokens") if url else SQLiteKeyValue(database, namespace="tokens")
    return FleetRateLimiter(RateLimitConfig(max_tokens_per_minute=settings.tokens_per_minute), store)


def _semantic_cache(settings: Settings, embed: EmbedFn) -> SemanticCache | None:
    if not settings.semantic_cache:
        return None
    if not settings.embedding_models:
        raise ConfigError(
            "The setting semantic_cache needs a model that embeds, and there is none.",
            "Set embedding_models (RACTO_EMBEDDING_MODELS=ollama/nomic-embed-text), or semantic_cache to 0.",
        )
    if settings.redis_url:
        from ..agents.shared_semantic_cache import SharedSemanticCache
        from .shared import WEEK

        # Vectors of two models cannot be compared.
        kept = _shared(settings.redis_url, f"semantic:{settings.embedding_models[0]}")
        seconds = settings.cache_seconds or WEEK
        return SharedSemanticCache(embed, settings.semantic_cache, ttl_seconds=seconds, store=kept)
    from ..agents.semantic_cache import SemanticCache

    return SemanticCache(embed, settings.semantic_cache, 10_000, settings.cache_seconds or None)


async def _vector(gateway: ModelGateway, text: str) -> Sequence[float]:
    """The vector of a question, paid for like any other call."""
    response = await gateway.embed(EmbeddingConfig(texts=[text]), component="semantic_cache")
    return response.vectors[0].embedding


def _routing(settings: Settings) -> RoutingConfig:
    for setting in ("prefer_chat", "prefer_embed"):
        if (name := getattr(settings, setting)) is not None and name not in NAMES:
            raise ConfigError(
                f"The setting {setting} cannot be {masked(name)!r}.", unknown_name("provider", name, NAMES).hint
            )
    return RoutingConfig(by=settings.route_by, chat=settings.prefer_chat, embed=settings.prefer_embed)


def _telemetry(settings: Settings, recorders: Sequence[Recorder]) -> Telemetry | None:
    if not settings.telemetry and not recorders:
        return None
    from ..agents.telemetry import RactoTracer, Telemetry

    return Telemetry(*([RactoTracer()] if settings.telemetry else []), *recorders)


def remote_registry(settings: Settings) -> RemoteRegistryConfig | None:
    if settings.registry_url is None:
        return None
    return RemoteRegistryConfig(url=settings.registry_url, cache_path=settings.database.with_name("models.json"))
