"""Every setting of racto, in one model, and where each value came from.

Later wins: default < config file (TOML) < environment (`RACTO_PORT`) < command-line flag (`--port`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from ..knowledge.errors import ConfigError, unknown_name
from ..tools import TOOLSETS
from .database_settings import DatabaseName, DatabaseSettings, anchored, tables

PREFIX = "RACTO_"
_UNSHOWN = frozenset({"token", "base_urls", "registry_url", "redis_url", "sql_databases"})
"""Settings whose refused values no message repeats: they may hold a key."""
BUILT_IN = "built-in/lsa"
"""The embedding model that needs nothing; see `knowledge/corpus_embedder.py`."""
CONFIG_VARIABLE = "RACTO_CONFIG"
"""Environment variable that names the config file; not a setting itself."""


def config_folder() -> Path:
    """Where programs keep a person's configuration: `%APPDATA%` on Windows, `$XDG_CONFIG_HOME` or `~/.config` elsewhere."""
    return _platform_folder("APPDATA", "XDG_CONFIG_HOME", ".config")


def default_database() -> Path:
    """`racto/racto.db` below `%LOCALAPPDATA%` on Windows, `$XDG_DATA_HOME` or `~/.local/share` elsewhere."""
    return _platform_folder("LOCALAPPDATA", "XDG_DATA_HOME", ".local/share") / "racto" / "racto.db"


def _platform_folder(windows: str, xdg: str, below_home: str) -> Path:
    named = os.environ.get(windows if sys.platform == "win32" else xdg, "")
    return Path(named) if Path(named).is_absolute() else Path.home() / below_home


def default_roots() -> tuple[Path, ...]:
    """`~/Documents`, where a newcomer's documents are.

    The working folder of a server is whatever the host chose (often `/`), and the home folder holds keys and mail: neither is a default.
    """
    return (Path.home() / "Documents",)


def _split(separator: str) -> BeforeValidator:
    def split(value: object) -> object:
        return [part.strip() for part in value.split(separator) if part.strip()] if isinstance(value, str) else value

    return BeforeValidator(split)


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value  # a token read from a file ends in a newline


def _known_toolsets(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in TOOLSETS:
            raise ValueError(str(unknown_name("toolset", name, TOOLSETS)))
    return names


def _absolute(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path holds no NUL character")
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no home folder of that name") from None


def _pairs(value: object) -> object:
    """`a=1,b=2`, as the environment has it, as a table."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): text.strip() for name, _, text in pairs}


_SECRET_PARAMETER = re.compile(r"key|token|secret|passw|pwd|auth|credential|sig(?:nature)?$", re.IGNORECASE)


def _keyless(url: str) -> str:
    """An address without a key in it: settings are shown, logged and copied into configuration files."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an address begins with http:// or https://")
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *parse_qsl(parts.fragment, keep_blank_values=True)]
    if "@" in parts.netloc or any(_SECRET_PARAMETER.search(name) for name, _ in pairs):
        raise ValueError("an address holds no key or password; keep a key with `racto keys set NAME`")
    return url


def _known_store(text: str | None) -> str | None:
    from ..knowledge.stores import STORES

    if text is None:
        return None
    name, equals, address = text.partition("=")
    if name not in STORES:
        raise ValueError(str(unknown_name("vector store", name, STORES)))
    if not equals or not address:
        raise ValueError("write it as store=address")
    if _holds_secret(address):
        raise ValueError(
            "an address holds no key or password; keep a key with `racto keys set NAME`, and PostgreSQL's in PGPASSWORD"
        )
    return text


def _holds_secret(address: str) -> bool:
    """Whether there is a password behind a user (who may be named), or a parameter that is a key."""
    named = parse_qsl(urlsplit(address).query, keep_blank_values=True)
    return re.search(r"//[^/?#@]*:.+@", address, re.DOTALL) is not None or any(
        _SECRET_PARAMETER.search(key) for key, _ in named
    )


def _redis(url: str | None) -> str | None:
    if url is None:
        return None
    if not re.match(r"(?:rediss?://[^/]|unix://.*/.)", url):
        raise ValueError("an address begins with redis://, rediss:// or unix://")
    if _holds_secret(url):
        raise ValueError("an address holds no password; keep it with `racto keys set REDIS_PASSWORD`")
    return url


def _provider_name(name: str) -> str:
    if not re.fullmatch(r"[a-z_]+", name):
        raise ValueError("write it as provider=address")
    return name


def masked(text: str) -> str:
    """A text that may hold an address, without what only its owner should see of it: user, password and query."""
    text = re.sub(r"(?<=://).*@", "***@", text, flags=re.DOTALL)
    return re.sub(r"(://[^?#]*[?#]).*", r"\1***", text, flags=re.DOTALL)


Address = Annotated[str, AfterValidator(_keyless)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Names = Annotated[tuple[str, ...], _split(",")]
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000)]


class Settings(BaseModel):
    """What can be set. A field `port` is `port` in the config file and `RACTO_PORT` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database: AbsolutePath = Field(
        default_factory=default_database,
        description="The one file everything is kept in; by default racto/racto.db in the platform's data folder (~/.local/share).",
    )
    roots: Annotated[tuple[AbsolutePath, ...], _split(os.pathsep)] = Field(
        default_factory=default_roots,
        description="Folders whose files tools may read, by default ~/Documents; in the environment separated like PATH.",
    )
    toolsets: Annotated[Names, AfterValidator(_known_toolsets)] = Field(
        default=tuple(TOOLSETS), min_length=1, description=f"Features to offer, of: {', '.join(TOOLSETS)}."
    )
    sql_databases: Annotated[dict[DatabaseName, DatabaseSettings], BeforeValidator(tables)] = Field(
        default={},
        description="Databases that may be asked, by a name: shop=~/shop.db,sales=postgresql://me@box/sales in the environment, tables "
        "[sql_databases.NAME] in the config file.",
    )
    ocr_languages: str = Field(
        default="eng",
        pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$",
        description="What scans and pictures are in, as tesseract names it: deu+eng.",
    )
    read_only: bool = Field(default=False, description="Offer only tools that change nothing.")
    models: Names = Field(
        default=(),
        description="Models that answer, as provider/model, the later ones when the earlier fail: ollama/llama3.2, openai/gpt-4o. "
        "Without any, a model of an Ollama that runs on this machine.",
    )
    embedding_models: Names = Field(
        default=(),
        description="Models that embed, as provider/model: ollama/nomic-embed-text; documents are searched by meaning with the first. "
        f"{BUILT_IN} needs no model: it learns from the documents themselves which words go together.",
    )
    models_folder: AbsolutePath | None = Field(
        default=None, description="Folder with models that run here: sentence_transformers/NAME is one of its folders."
    )
    reranker: str | None = Field(
        default=None,
        description="What orders the best passages again when a search asks for it: chat, a chat model as provider/model, or the "
        "cross-encoder sentence_transformers/NAME.",
    )
    vector_store: Annotated[str | None, AfterValidator(_known_store)] = Field(
        default=None,
        description="Where vectors are kept when not in the database: qdrant=http://box:6333, pgvector=postgresql://box/racto, "
        "chroma=box:8000, milvus=…, weaviate=… or pinecone=INDEX; keep its key with `racto keys set QDRANT_API_KEY`.",
    )
    base_urls: Annotated[dict[Annotated[str, AfterValidator(_provider_name)], Address], BeforeValidator(_pairs)] = (
        Field(default={}, description="Where a provider is when not at its usual address: ollama=http://box:11434.")
    )
    route_by: Literal["chain", "price", "latency"] = Field(
        default="chain", description="Which of the models is asked first: the first named, the cheapest or the fastest."
    )
    prefer_chat: str | None = Field(default=None, description="Provider that is asked first for an answer: ollama.")
    prefer_embed: str | None = Field(default=None, description="Provider that is asked first for embeddings: ollama.")
    tiers: Annotated[dict[str, float], BeforeValidator(_pairs)] = Field(
        default={},
        description="Model → the hardest question it gets, 0 to 100, for models named provider/auto: gpt-4o-mini=40,gpt-4o=100.",
    )
    task_config: AbsolutePath | None = Field(
        default=None, description="JSON file that says which provider and model does which task of which component."
    )
    budget_policy: Literal["ignore", "warn", "enforce"] = Field(
        default="warn", description="What a budget does: nothing, a warning, or a refusal."
    )
    budget_daily_limit: Dollars | None = Field(default=None, description="US dollars a day.")
    budget_weekly_limit: Dollars | None = Field(default=None, description="US dollars a week, from Monday.")
    budget_monthly_limit: Dollars | None = Field(default=None, description="US dollars a month.")
    budget_timezone: str | None = Field(
        default=None, description="Where days begin, as Europe/Zurich; by default local time."
    )
    cache_seconds: float = Field(
        default=0, ge=0, description="How long an answer is kept for the same question; 0 keeps none."
    )
    semantic_cache: float = Field(
        default=0,
        ge=0,
        le=1,
        description="How alike, 0 to 1, a question must be to an earlier one to get its answer; 0 asks anew. Needs embedding_models; 0.95 is careful.",
    )
    tokens_per_minute: int = Field(
        default=0, ge=0, description="Tokens one user may use in a minute, of all models together; 0 sets no limit."
    )
    redis_url: Annotated[str | None, AfterValidator(_redis)] = Field(
        default=None,
        description="Redis that several servers share: redis://box:6379/0, rediss:// or unix:///run/redis.sock. There are then kept answers, "
        "the tokens of each minute and the last turns of conversations; keep its password with `racto keys set REDIS_PASSWORD`.",
    )
    registry_url: Address | None = Field(
        default=None,
        description="A list of models to fetch with `racto models --update`; nothing is fetched by itself.",
    )
    telemetry: bool = Field(
        default=False, description="Tell the program's OpenTelemetry of every model call, without any words."
    )
    prometheus: bool = Field(
        default=False, description="Offer counters of model calls at /metrics, when served over HTTP."
    )
    transport: Literal["stdio", "sse", "http"] = Field(
        default="stdio", description="How clients connect: stdio, or one HTTP port with /mcp and /sse."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address the HTTP port listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="HTTP port; 0 takes a free one.")
    token: Annotated[SecretStr | None, BeforeValidator(_stripped)] = Field(
        default=None, min_length=1, description="Bearer token HTTP clients must send; needed beyond loopback."
    )
    allowed_hosts: Names = Field(
        default=(), description="Further Host headers to accept, besides the address listened on."
    )
    allowed_origins: Names = Field(
        default=(), description="Web origins whose pages may call, besides the server's own."
    )
    max_request_bytes: int = Field(default=64 * 2**20, ge=1024, description="Largest HTTP request accepted, in bytes.")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = Field(default="info", description="What is logged, always to stderr; debug adds tracebacks.")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings as they came together.

    :param sources: Setting → where its value came from: `default`, a file, a variable or a flag.
    :param warnings: What looks like a mistake but stops nothing, one sentence each.
    """

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def load(flags: Mapping[str, Any] | None = None) -> Loaded:
    """Put the settings together.

    :param flags: Values from the command line by setting; `None` means the flag was not given.
    :raises ConfigError: a value cannot be right, or the config file is broken or holds an unknown key; the message says where.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Settings.model_fields, "default")
    file = config_file()
    for name, value in _read_file(file).items():
        values[name], sources[name] = value, str(file)
    warnings = []
    for variable, value in sorted(os.environ.items()):
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE or not value:
            continue
        if name in sources:
            values[name], sources[name] = value, variable
        else:
            known = [f"{PREFIX}{field.upper()}" for field in sources]
            warnings.append(f"{variable} is ignored. {unknown_name('setting', variable, known)}")
    for name, value in (flags or {}).items():
        if value is not None:
            values[name], sources[name] = value, "the command line"
    try:
        return Loaded(Settings.model_validate(values), sources, tuple(warnings))
    except ValidationError as error:
        refusal = _explained(error, sources)
    raise refusal  # out here it does not carry the validation error along, which repeats what was given


def config_file() -> Path:
    """The config file that is read: `$RACTO_CONFIG`, else `racto/config.toml` in the configuration folder, which need not exist."""
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named).expanduser().absolute() if named else config_folder() / "racto" / "config.toml"


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if not os.environ.get(CONFIG_VARIABLE):
            return {}
        raise ConfigError(f"There is no config file {path}.", f"Make it, or correct {CONFIG_VARIABLE}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The config file {path} cannot be read: {error}.", "It must be a UTF-8 text file you may read."
        ) from None
    import tomllib  # most people have no config file, and every start would pay

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"The config file {path} is not valid TOML: {error}.",
            'A line looks like: port = 8000 or roots = ["~/papers"].',
        ) from None
    for name in values.keys() - Settings.model_fields.keys():
        nearest = unknown_name("setting", name, Settings.model_fields).hint
        raise ConfigError(f"The config file {path} sets {name!r}, which does not exist.", nearest)
    if "sql_databases" in values:
        values["sql_databases"] = anchored(values["sql_databases"], path.parent)
    return {
        name: _anchored(value, path.parent) if name in {"database", "roots", "task_config"} else value
        for name, value in values.items()
    }


def _anchored(value: Any, folder: Path) -> Any:
    """A relative path in a config file is meant from where the file lies, not from where racto happens to start."""
    if isinstance(value, list):
        return [_anchored(item, folder) for item in value]
    return folder / value if isinstance(value, str) and not value.startswith("~") else value


def _explained(error: ValidationError, sources: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        nearest = unknown_name("setting", place.rpartition(".")[2], DatabaseSettings.model_fields).hint
        return ConfigError(f"The setting {place} from {sources[name]} does not exist.", nearest)
    given = "" if name in _UNSHOWN else f" {masked(repr(first['input']))}"
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    if name == "sql_databases" and place != name:
        reason = f"{place}: {reason}"
    return ConfigError(
        f"The setting {name} from {sources[name]} cannot be{given}: {reason}.",
        Settings.model_fields[name].description or "",
    )
