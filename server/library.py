"""What libraries are equipped with, from settings: what embeds, what reranks, and where vectors are kept."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from ..tools.libraries import Equipment
from .secrets import secret
from .settings import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..knowledge.embedding import BaseEmbedder, Reranker
    from ..knowledge.stores import BaseVectorStore
    from ..tools.services import Services
    from .settings import Settings


def equip(settings: Settings, kept: Services) -> Equipment:
    """What the settings say. Models are connected to only where one is named."""
    store = partial(_store, settings.vector_store) if settings.vector_store else None
    return Equipment(_embedder(settings, kept), _reranker(settings, kept), store)


def _embedder(settings: Settings, kept: Services) -> Callable[[str], BaseEmbedder] | None:
    if not settings.embedding_models:
        return None
    if settings.embedding_models[0] == BUILT_IN:
        from ..knowledge.corpus_embedder import CorpusEmbedder

        return partial(CorpusEmbedder, kept.database)
    from ..agents.embedders import GatewayEmbedder

    embedder = GatewayEmbedder(kept.connected().gateway, settings.embedding_models[0])
    return lambda collection: embedder


def _reranker(settings: Settings, kept: Services) -> Reranker | None:
    if not settings.reranker:
        return None
    from ..agents.rerankers import ChatReranker, CrossEncoderReranker

    provider, _, model = settings.reranker.partition("/")
    if provider == "sentence_transformers":
        return CrossEncoderReranker(model, folders=[settings.models_folder] if settings.models_folder else [])
    return ChatReranker(kept.connected().gateway, None if settings.reranker == "chat" else settings.reranker)


def _store(setting: str, collection: str) -> BaseVectorStore:
    """The part of the store that is this collection's.

    :param setting: `store=address`.
    :raises ConfigError: its client is not installed.
    """
    from ..knowledge.stores import store_class

    kind, _, address = setting.partition("=")
    name = _name_in_store(collection)
    arguments: dict[str, Any]
    if kind == "chroma":
        host, _, port = address.removeprefix("http://").rpartition(":")
        arguments = {"collection": name, "host": host or port, "port": int(port) if host else 8000}
    elif kind == "qdrant":
        arguments = {"collection": name, "url": address, "api_key": secret("QDRANT_API_KEY")}
    elif kind == "milvus":
        arguments = {"collection": name, "uri": address, "token": secret("MILVUS_TOKEN")}
    elif kind == "pgvector":
        arguments = {"dsn": address, "table": name}
    elif kind == "weaviate":
        arguments = {"class_name": name.capitalize(), "url": address, "api_key": secret("WEAVIATE_API_KEY")}
    elif kind == "pinecone":
        arguments = {"index_name": address, "namespace": name, "api_key": secret("PINECONE_API_KEY")}
    else:
        arguments = {}
    return store_class(kind)(**arguments)


def _name_in_store(collection: str) -> str:
    """A name every store takes, another one for each collection: Weaviate does not tell case, PostgreSQL looks at 63 bytes."""
    plain = re.sub(r"\W", "_", collection).lower()[:40]
    mark = "" if plain == collection else f"_{hashlib.sha256(collection.encode()).hexdigest()[:8]}"
    return f"racto_{plain}{mark}"
