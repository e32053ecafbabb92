"""What is said of a model: the words of a registry, and reading one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field, field_validator, model_validator

from ..knowledge.errors import ConfigError
from . import prices
from .prices import PriceTier, PricingInfo

PAYLOAD_VERSION = 1


class ModelCapability(StrEnum):
    """What a model can do."""

    CHAT = "chat"
    STREAM = "stream"
    EMBED = "embed"
    TOOLS = "tools"
    SCHEMA = "schema"
    IMAGES = "images"
    DOCUMENTS = "documents"
    REASONING = "reasoning"
    NLI = "nli"
    STANCE = "stance"


class ModelStatus(StrEnum):
    """Whether a model can still be called; `deprecated` can, but not for ever."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class ParameterName(StrEnum):
    """The parameters known by a common name; a provider may have others."""

    TEMPERATURE = "temperature"
    TOP_P = "top_p"
    TOP_K = "top_k"
    FREQUENCY_PENALTY = "frequency_penalty"
    PRESENCE_PENALTY = "presence_penalty"
    SEED = "seed"
    STOP = "stop"
    MAX_TOKENS = "max_tokens"
    REASONING = "reasoning"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"
    TOOL_CHOICE = "tool_choice"
    RESPONSE_SCHEMA = "response_schema"


class ParameterRange(BaseModel):
    """The numbers a parameter may be; `None` is no limit."""

    model_config = ConfigDict(frozen=True)

    minimum: float | None = None
    maximum: float | None = None
    default: float | None = None


class ParameterAvailability(BaseModel):
    """Whether a model takes a parameter. A string alone stands for its `kind`.

    :param kind: `mutable` may be set, `read_only` has a fixed value, `opaque` is taken but nothing more is known, `unsupported` is not.
    :param value: Of a read-only one.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["mutable", "read_only", "opaque", "unsupported"]
    range: ParameterRange | None = None
    value: Any = None

    def refusal(self, given: Any) -> str:
        """Why a model will not take the parameter with this value; "" when nothing speaks against it."""
        if self.kind == "unsupported":
            return "as is known of the model"
        if self.kind == "read_only" and given != self.value:
            return f"it is always {self.value}"
        if self.range is None or not isinstance(given, int | float):
            return ""
        least, most = self.range.minimum, self.range.maximum
        if least is not None and given < least:
            return f"{given} is less than {least:g}"
        return f"{given} is more than {most:g}" if most is not None and given > most else ""

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, data: Any) -> Any:
        return {"kind": data} if isinstance(data, str) else data


class ModelMetadata(BaseModel):
    """What is known of one model; what is not known is `None` or empty.

    :param id: The provider's name of it; in an entry of a registry `*` stands for any ending.
    :param context_window: The most tokens it reads and writes together, or reads where the provider counts them apart.
    :param max_output_tokens: The longest answer.
    :param parameters: By name, those of `ParameterName` and others.
    :param listed: Prices that came with the entry; they win over the published ones.
    :param retires_at: From this day it is not there any more.
    :param source: Where this comes from: `seed`, `remote`, `live`, `published`.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: str = Field(min_length=1)
    provider: str = ""
    name: str = ""
    context_window: int | None = Field(default=None, gt=0)
    max_output_tokens: int | None = Field(default=None, gt=0)
    capabilities: frozenset[ModelCapability] = frozenset()
    parameters: dict[str, ParameterAvailability] = Field(default_factory=dict)
    listed: PricingInfo | None = Field(default=None, validation_alias="pricing", exclude=True)
    retires_at: date | None = None
    deprecated: bool = False
    source: str = ""

    @field_validator("capabilities", mode="before")
    @classmethod
    def _known_capabilities(cls, value: Any) -> Any:
        return [each for each in value if each in list(ModelCapability)] if isinstance(value, list) else value

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot decorate a property
    @property
    def pricing(self) -> PricingInfo | None:
        """What it costs now; the first time this imports the published prices."""
        if self.listed is not None:
            return self.listed if self.provider in prices.LOCAL else prices.hosted(self.listed)
        return prices.pricing(self.provider, self.id) if self.provider else None

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def tier(self) -> PriceTier | None:
        """How dear it is; `None` when the price is not known."""
        return self.pricing.tier if self.pricing else None

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def status(self) -> ModelStatus:
        """Whether it can still be called today."""
        if self.retires_at is not None and self.retires_at <= datetime.now(UTC).date():
            return ModelStatus.RETIRED
        return ModelStatus.DEPRECATED if self.deprecated or self.retires_at else ModelStatus.ACTIVE


def parse(text: str | bytes, source: str) -> list[ModelMetadata]:
    """The entries of a registry: `{"version": 1, "models": […]}`, or a bare array as older ones are. An entry that is none is left out.

    :raises ConfigError: it is no registry, of a newer version, or has no entry that can be read.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"The {source} model registry is not JSON: {error}.", "Fetch it again.") from None
    if isinstance(data, dict) and data.get("version") != PAYLOAD_VERSION:
        raise ConfigError(
            f"The {source} model registry has version {data.get('version')!r}, this racto reads {PAYLOAD_VERSION}.",
            "Upgrade racto, or use another registry.",
        )
    listed = data.get("models") if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise ConfigError(f"The {source} model registry lists no models.", "It needs an array `models`.")
    entries = []
    for entry in listed:
        try:
            entries.append(ModelMetadata.model_validate(entry).model_copy(update={"source": source}))
        except ValidationError:
            continue  # one provider's slip must not cost the other models
    if listed and not entries:
        raise ConfigError(f"No entry of the {source} model registry can be read.", "Use another registry.")
    return entries
