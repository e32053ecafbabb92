"""How many tokens a text is for a model: exactly where the model's tokenizer is on this machine, else an estimate that says so.

Nothing is ever downloaded. tiktoken's files count if they are in its cache (`TIKTOKEN_CACHE_DIR`), Hugging Face's if `tokenizer.json` is in
theirs (`HF_HUB_CACHE`), any other after it was registered.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..knowledge.errors import ConfigError, InputError
from ..knowledge.turns import estimate

if TYPE_CHECKING:
    import tiktoken
    import tokenizers

DEFAULTS: tuple[tuple[str, str], ...] = (
    ("gpt-oss*", "tiktoken:o200k_harmony"),
    ("gpt-4o*", "tiktoken:o200k_base"),
    ("gpt-4.*", "tiktoken:o200k_base"),
    ("gpt-5*", "tiktoken:o200k_base"),
    ("chatgpt-4o*", "tiktoken:o200k_base"),
    ("o1*", "tiktoken:o200k_base"),
    ("o3*", "tiktoken:o200k_base"),
    ("o4-mini*", "tiktoken:o200k_base"),
    ("gpt-4*", "tiktoken:cl100k_base"),
    ("gpt-3.5*", "tiktoken:cl100k_base"),
    ("text-embedding-3-*", "tiktoken:cl100k_base"),
    ("text-embedding-ada-002", "tiktoken:cl100k_base"),
    ("all-minilm*", "hf:sentence-transformers/all-MiniLM-L6-v2"),
    ("bge-small-en*", "hf:BAAI/bge-small-en-v1.5"),
    ("bge-base-en*", "hf:BAAI/bge-base-en-v1.5"),
    ("llama3.1*", "hf:meta-llama/Llama-3.1-8B-Instruct"),
    ("llama3.2*", "hf:meta-llama/Llama-3.2-3B-Instruct"),
    ("llama3.3*", "hf:meta-llama/Llama-3.3-70B-Instruct"),
    ("qwen3:*", "hf:Qwen/Qwen3-8B"),
    ("qwen2.5:*", "hf:Qwen/Qwen2.5-7B-Instruct"),
    ("mistral:*", "hf:mistralai/Mistral-7B-Instruct-v0.3"),
    ("*/*", "hf:"),
)
"""Pattern of a model's name → its tokenizer; the first that fits. A name with a maker (`org/model`) is its own repository."""

# What tiktoken calls the files of an encoding, and the SHA-256 it wants of each: anything else it would fetch again.
_TIKTOKEN_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_TIKTOKEN_FILES = {
    "cl100k_base": ("cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
    "o200k_base": ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "o200k_harmony": ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
}


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text.

    :param id: Its number in the vocabulary.
    :param text: The stretch of the text it stands for; "" for all but the last of several that share one character.
    :param start: Where that stretch begins, in characters.
    :param end: Where it ends.
    """

    id: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens a text is.

    :param exact: As the model's own tokenizer counts; else it is an estimate.
    :param how: The name of the tokenizer, or `estimate`.
    """

    count: int
    exact: bool
    how: str


class Tokenizer(Protocol):
    """What cuts a text into tokens."""

    name: str

    def count(self, text: str) -> int:
        """How many there are, without those a model adds around a text."""
        ...

    def tokenize(self, text: str) -> list[Token]:
        """Each of them."""
        ...


class HfTokenizer:
    """A tokenizer of the `tokenizers` library.

    :param path: Its `tokenizer.json`.
    :param name: What it is called in counts.
    """

    def __init__(self, path: Path | str, name: str = "") -> None:
        self._path = Path(path)
        self.name = name or str(self._path.parent.name)

    def count(self, text: str) -> int:
        """How many there are, without those a model adds around a text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def tokenize(self, text: str) -> list[Token]:
        """Each of them."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            Token(number, text[start:end], start, end)
            for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
        ]

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        import tokenizers

        try:
            loaded = tokenizers.Tokenizer.from_file(str(self._path))
        except Exception as error:  # noqa: BLE001 - the library raises nothing more particular
            raise ConfigError(f"{self._path} is no tokenizer: {error}.", "Give a tokenizer.json.") from None
        loaded.no_truncation()  # some files are made to cut a text at what their model reads
        loaded.no_padding()
        return loaded


class TiktokenTokenizer:
    """An encoding of the `tiktoken` library.

    :param encoding: As `tiktoken.get_encoding` gives it.
    """

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding
        self.name = encoding.name

    def count(self, text: str) -> int:
        """How many there are; what looks like a special token is text."""
        return len(self._encoding.encode_ordinary(text))

    def tokenize(self, text: str) -> list[Token]:
        """Each of them."""
        ids = self._encoding.encode_ordinary(text)
        _, starts = self._encoding.decode_with_offsets(ids)
        ends = [*starts[1:], len(text)][: len(ids)]
        return [Token(each, text[start:end], start, end) for each, start, end in zip(ids, starts, ends, strict=True)]


class TokenizerRegistry:
    """Which tokenizer a model has. Safe from any thread; a tokenizer is loaded when it is first needed, and once.

    :param defaults: Pattern → `tiktoken:NAME` or `hf:REPOSITORY`; looked through after what was registered.
    """

    def __init__(self, defaults: Sequence[tuple[str, str]] = DEFAULTS) -> None:
        self._defaults = tuple(defaults)
        self._registered: list[tuple[str, Tokenizer]] = []
        self._loaded: dict[str, Tokenizer | None] = {}
        self._lock = threading.Lock()

    def register(self, pattern: str, tokenizer: Tokenizer | Path | str) -> None:
        """Use a tokenizer for the models whose name fits, before whatever was registered until now.

        :param pattern: A name, in which `*` stands for anything.
        :param tokenizer: One, or the path of a `tokenizer.json`.
        """
        made = HfTokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        with self._lock:
            self._registered.insert(0, (pattern.lower(), made))

    def find(self, model: str) -> Tokenizer | None:
        """The tokenizer of a model, `None` when it is not on this machine."""
        name = model.lower().removeprefix("models/").removeprefix("ft:").removeprefix("openai/")
        for pattern, registered in self._registered:
            if fnmatchcase(name, pattern):
                return registered
        for pattern, where in self._defaults:
            if fnmatchcase(name, pattern):
                return self._load(f"hf:{model}" if where == "hf:" else where)
        return None

    def count(self, text: str, model: str) -> TokenCount:
        """How many tokens a text is for a model."""
        tokenizer = self.find(model)
        if tokenizer is None:
            return TokenCount(estimate(text), False, "estimate")
        return TokenCount(tokenizer.count(text), True, tokenizer.name)

    def tokenize(self, text: str, model: str) -> list[Token]:
        """The tokens of a text.

        :raises InputError: the model's tokenizer is not on this machine; pieces cannot be estimated.
        """
        tokenizer = self.find(model)
        if tokenizer is None:
            raise InputError(
                f"The tokenizer of {model} is not on this machine.",
                "Register its tokenizer.json, or ask for a count, which can be estimated.",
            )
        return tokenizer.tokenize(text)

    def _load(self, where: str) -> Tokenizer | None:
        with self._lock:
            if where not in self._loaded:
                kind, _, name = where.partition(":")
                self._loaded[where] = _tiktoken(name) if kind == "tiktoken" else _hugging_face(name)
            return self._loaded[where]


def _tiktoken(name: str) -> Tokenizer | None:
    """An encoding whose file is in tiktoken's cache, whole: a damaged one tiktoken would delete and fetch."""
    stem, sha256 = _TIKTOKEN_FILES[name]
    temporary = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", temporary))
    file = Path(folder) / hashlib.sha1(_TIKTOKEN_URL.format(stem).encode(), usedforsecurity=False).hexdigest()
    if not folder or not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        return None
    try:
        import tiktoken
    except ImportError:
        return None
    return TiktokenTokenizer(tiktoken.get_encoding(name))


def _hugging_face(repository: str) -> Tokenizer | None:
    """The newest `tokenizer.json` of a repository in the cache of `huggingface_hub`, whose layout is documented."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = cache / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    file = folder / "snapshots" / commit / "tokenizer.json"
    try:
        import tokenizers  # noqa: F401 - only whether it is there
    except ImportError:
        return None
    return HfTokenizer(file, repository) if file.is_file() else None


REGISTRY = TokenizerRegistry()
"""The registry everything here uses."""


def count(text: str, model: str) -> TokenCount:
    """How many tokens a text is for a model, and whether that is exact."""
    return REGISTRY.count(text, model)


def tokenize(text: str, model: str) -> list[Token]:
    """The tokens of a text, each with where it stands.

    :raises InputError: the model's tokenizer is not on this machine.
    """
    return REGISTRY.tokenize(text, model)
