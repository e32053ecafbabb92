"""The words every kit, provider and pipeline speaks: what one call is asked, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from .files import RactoFile
from .prompts import RactoPrompt

# Making the schemas of all these takes 15 ms, which who only imports them need not wait for.
_CONFIG = ConfigDict(arbitrary_types_allowed=True, defer_build=True)


class MessageRole(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    TOOL_CALL = "tool_call"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ToolCallResult:
    """A call as a model asked for it.

    :param id: The provider's id of the call; its answer carries the same one.
    :param name: The tool to be called.
    :param arguments: By parameter name, as JSON-able data.
    """

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Message(BaseModel):
    """One turn of a conversation.

    :param tool_calls: What the assistant asked to be called, in its turn.
    :param tool_call_id: In a turn of the role TOOL: the call this is the result of.
    :param native: In the assistant's turn: `LLMResponse.native` of the answer it was.
    """

    model_config = _CONFIG

    role: MessageRole
    content: str
    attachments: list[SkipValidation[RactoFile]] = Field(default_factory=list)
    tool_calls: list[ToolCallResult] = Field(default_factory=list)
    tool_call_id: str | None = None
    native: dict[str, Any] = Field(default_factory=dict)


class ReasoningConfig(BaseModel):
    """How much a model should think before it answers; what a provider does not know of it is dropped or refused by policy.

    :param effort: In words, for providers that take words.
    :param budget_tokens: In tokens, for providers that take a number.
    :param include: Whether the thinking is wanted in the answer (`LLMResponse.thinking`).
    """

    model_config = _CONFIG

    effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    budget_tokens: int | None = Field(default=None, ge=0)
    include: bool = True


class ChatConfig(BaseModel):
    """What one chat call is asked, the same for every provider.

    :param user_message: What the person asks.
    :param prompt: The system prompt of this call; `None` leaves the kit's own.
    :param temperature: 0 to 2; `None` leaves it unset, for models that do not know it.
    :param max_tokens: The longest answer, in tokens.
    :param tools: The registry of tools the model may call.
    :param tool_choice: `auto`, `none`, `required`, or the name of the one tool to call.
    :param parallel_tool_calls: Whether one turn may ask for several calls; `None` leaves it to the provider.
    :param response_model: The pydantic model the answer must be.
    :param max_validation_retries: How many times a model may repair an answer that is not one.
    :param history: Earlier turns, placed between the system prompt and `user_message`.
    :param attachments: Files that go with `user_message`.
    :param chain_of_thought: Ask, as the last constraint, to reason step by step before answering.
    :param reasoning: The model's own thinking.
    :param extra: Passed on to the provider as it is (`logit_bias`, `service_tier`); the parameters above win over it.
    """

    model_config = _CONFIG

    user_message: str = Field(min_length=1)
    prompt: RactoPrompt | None = None
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int = Field(default=4096, gt=0)
    top_p: float | None = Field(default=None, ge=0.0, le=1.0)
    top_k: int | None = Field(default=None, ge=1)
    frequency_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    presence_penalty: float | None = Field(default=None, ge=-2.0, le=2.0)
    seed: int | None = None
    stop: list[str] = Field(default_factory=list)
    tools: SkipValidation[Any] = None  # a ToolRegistry, which lives a room above
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_model: type[BaseModel] | None = None
    max_validation_retries: int = Field(default=2, ge=0)
    history: list[Message] = Field(default_factory=list)
    attachments: list[SkipValidation[RactoFile]] = Field(default_factory=list)
    chain_of_thought: bool = False
    reasoning: ReasoningConfig | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class LLMResponse(BaseModel):
    """One answer, the same shape whoever gave it.

    :param content: The text as the model wrote it; a fence around the whole of it is taken off, one inside it stays.
    :param thinking: The model's reasoning, when it was given.
    :param parsed: The JSON value of the answer, when it is one; with a `response_model`, the validated one.
    :param usage: Tokens: `prompt_tokens` (cached ones included), `completion_tokens` (reasoning included), `total_tokens`, and where the
        provider says so `cached_tokens`, `cache_write_tokens`, `reasoning_tokens`.
    :param raw: The provider's answer, untouched.
    :param native: The turn as JSON-able data of the provider's own, by its name, where the other fields cannot hold all of it (signed
        reasoning, calls of its own tools). Put into the `Message` of this turn, so that the same provider gets it back as it was.
    :param model: The model that answered.
    :param provider: The provider that answered.
    :param cost: US dollars, exact; `None` when the price is not known.
    :param cached: `exact` or `semantic` when no provider was asked.
    :param why: How the model came to be chosen, in order, and what was tried before it.
    :param warnings: What was dropped, estimated or cut short.
    :param request_id: The provider's own id of the call.
    """

    model_config = _CONFIG

    content: str | None = None
    thinking: str | None = None
    parsed: dict[str, Any] | list[Any] | None = None
    tool_calls: list[ToolCallResult] = Field(default_factory=list)
    finish_reason: FinishReason = FinishReason.STOP
    usage: dict[str, int] = Field(default_factory=dict)
    raw: Any = None
    native: dict[str, Any] = Field(default_factory=dict)
    model: str = ""
    provider: str = ""
    cost: Decimal | None = None
    cached: Literal["exact", "semantic"] | None = None
    why: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    request_id: str | None = None


@dataclass(slots=True)
class StreamDelta:
    """What one event of a stream adds.

    :param text: New text, "" when there is none.
    :param thinking: New reasoning, "" when there is none.
    :param tool_call_args_fragment: A piece of the JSON text of the arguments of the call `tool_call_id`.
    """

    text: str = ""
    thinking: str = ""
    tool_call_id: str | None = None
    tool_call_name: str | None = None
    tool_call_args_fragment: str | None = None


@dataclass(slots=True)
class StreamChunk:
    """One event of a stream. Exactly one, the last, is final, and only it carries the four fields after `is_final`.

    :param accumulated_text: The text so far.
    :param response: On the final chunk: the whole answer, as `chat` would have returned it.
    """

    delta: StreamDelta = field(default_factory=StreamDelta)
    accumulated_text: str = ""
    accumulated_thinking: str = ""
    is_final: bool = False
    finish_reason: FinishReason | None = None
    tool_calls: list[ToolCallResult] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)
    response: LLMResponse | None = None
    raw: Any = None


class EmbeddingConfig(BaseModel):
    """What one embedding call is asked.

    :param texts: What to embed, at least one.
    :param model: Instead of the kit's embedding model.
    :param dimensions: Length of the vectors, for models that can shorten them.
    :param extra: Passed on to the provider as it is.
    """

    model_config = _CONFIG

    texts: list[str] = Field(min_length=1)
    model: str | None = None
    dimensions: int | None = Field(default=None, ge=1)
    extra: dict[str, Any] = Field(default_factory=dict)


class EmbeddingVector(BaseModel):
    """The vector of one text.

    :param index: Its place in `EmbeddingConfig.texts`, from 0.
    """

    model_config = _CONFIG

    index: int
    text: str
    embedding: list[float]

    @property
    def vector(self) -> list[float]:
        """The same as `embedding`."""
        return self.embedding


class EmbeddingResponse(BaseModel):
    """The vectors of an embedding call, in the order of its texts.

    :param warnings: What was not as asked, such as a text that was cut.
    """

    model_config = _CONFIG

    vectors: list[EmbeddingVector]
    model: str = ""
    provider: str = ""
    usage: dict[str, int] = Field(default_factory=dict)
    cost: Decimal | None = None
    warnings: list[str] = Field(default_factory=list)
    raw: Any = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a provider is told about it; `input_schema` is JSON Schema 2020-12."""

    name: str
    description: str
    input_schema: Mapping[str, Any]


@dataclass(slots=True)
class ChatRequest:
    """One call to one provider, everything decided: what a provider turns into its own body.

    :param model: The provider's name of the model.
    :param system: The compiled system prompt; "" for none.
    :param messages: The conversation, the last turn being the one to answer.
    :param response_schema: JSON Schema the answer must follow; enforced by the provider where it can, checked here always.
    :param parameters: The sampling parameters that were given: `temperature`, `top_p`, `top_k`, `frequency_penalty`, `presence_penalty`, `seed`,
        `stop`. What is not here was not given.
    :param extra: Merged into the body as it is.
    :param timeout: Seconds for the whole call, and between two events of a stream; `None` for the provider's own.
    """

    model: str
    messages: list[Message]
    system: str = ""
    tools: list[ToolSpec] = field(default_factory=list)
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_schema: Mapping[str, Any] | None = None
    response_name: str = "answer"
    max_tokens: int = 4096
    parameters: dict[str, Any] = field(default_factory=dict)
    reasoning: ReasoningConfig | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None


class BatchStatus(StrEnum):
    """How far a batch job is."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class BatchItem(BaseModel):
    """One request of a batch.

    :param custom_id: The caller's own name of it, unique in the batch; its result carries the same.
    :param user_message: What the person asks.
    :param temperature: 0 to 2; `None` leaves it unset, for models that do not know it.
    :param max_tokens: The longest answer, in tokens.
    :param extra: Passed on to the provider as it is.
    """

    model_config = _CONFIG

    custom_id: str = Field(min_length=1)
    user_message: str = Field(min_length=1)
    temperature: float | None = Field(default=0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(default=4096, gt=0)
    extra: dict[str, Any] = Field(default_factory=dict)


class BatchResult(BaseModel):
    """What became of one request of a batch.

    :param response: The answer, when there is one; its JSON is found but not checked against a model, as nothing can be repaired here.
    :param error: Otherwise the provider's reason.
    :param raw: The provider's line of results, untouched; `None` when there was none.
    """

    model_config = _CONFIG

    custom_id: str
    response: LLMResponse | None = None
    error: str | None = None
    raw: Any = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.error is None and self.response is not None


class BatchJobInfo(BaseModel):
    """A batch job as its provider tells of it.

    :param created_at: Seconds since 1970.
    :param request_count: How many requests it has; 0 while the provider has not counted them.
    :param raw: The provider's own words.
    """

    model_config = _CONFIG

    job_id: str
    provider: str
    status: BatchStatus
    created_at: float
    request_count: int = Field(default=0, ge=0)
    raw: Any = None
