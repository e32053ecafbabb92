"""A registry of models kept elsewhere: fetched when somebody asks for it, and kept in a file so that the next start needs no net."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from pydantic import BaseModel, Field

from ..knowledge.errors import ConfigError, ConnectionLostError, LimitError, StorageError
from .model_metadata import parse
from .models import ModelRegistry

_MOST_BYTES = 16 * 1024 * 1024


class RemoteRegistryConfig(BaseModel):
    """Where a registry is fetched from and kept.

    :param url: Of a JSON file as `model_metadata.parse` reads it; `https`, or this machine.
    :param cache_path: The file it is kept in.
    :param timeout: Seconds to wait for the server.
    """

    url: str
    cache_path: Path
    timeout: float = Field(default=10.0, gt=0)


def cached(config: RemoteRegistryConfig) -> str | None:
    """The registry as it was last fetched, `None` when it never was. Nothing is fetched.

    :raises StorageError: the file is there and cannot be read.
    """
    try:
        return config.cache_path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{config.cache_path} cannot be read: {error.strerror}.", "Make it readable, or remove it."
        ) from None


async def update(config: RemoteRegistryConfig, registry: ModelRegistry) -> int:
    """Fetch the registry, keep it, and use it.

    :returns: How many entries it has.
    :raises ConfigError: the URL is not allowed, or what came is no registry; what was kept before stays.
    :raises ConnectionLostError: the server does not answer.
    """
    text = await asyncio.to_thread(_fetch, config)
    parse(text, "remote")  # before it takes the place of a good one
    await asyncio.to_thread(_keep, config.cache_path, text)
    return registry.use(text)


def _fetch(config: RemoteRegistryConfig) -> str:
    _check(config.url)
    request = Request(config.url, headers={"Accept": "application/json", "User-Agent": "racto"})  # noqa: S310 - checked above
    try:
        with urlopen(request, timeout=config.timeout) as response:  # noqa: S310 - checked above
            _check(response.url)  # where redirects led
            body: bytes = response.read(_MOST_BYTES + 1)
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionLostError(
            f"The model registry {config.url} cannot be fetched: {reason}.", "The models known so far stay."
        ) from None
    if len(body) > _MOST_BYTES:
        raise LimitError(f"The model registry {config.url} is larger than 16 MB.", "Use a smaller one.")
    return body.decode("utf-8", "replace")


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        raise ConfigError(f"A model registry is not fetched from {url}.", "Use an https URL.")


def _keep(path: Path, text: str) -> None:
    """Write the file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            new = Path(folder) / path.name
            new.write_text(text, encoding="utf-8")
            new.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.", "Make its folder writable.") from None
