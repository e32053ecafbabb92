"""The words every kit and pipeline speaks: roles, messages and what one chat call is asked."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from .prompts import RactoPrompt


class MessageRole(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(BaseModel):
    """One turn of a conversation."""

    role: MessageRole
    content: str


class ChatConfig(BaseModel):
    """What one chat call is asked, the same for every provider.

    :param user_message: What the person asks.
    :param prompt: The system prompt of this call; `None` leaves the kit's own.
    :param temperature: 0 to 2; `None` leaves it unset, for models that do not know it.
    :param max_tokens: The longest answer, in tokens.
    :param tools: The registry of tools the model may call.
    :param response_model: The pydantic model the answer must be.
    :param history: Earlier turns, placed between the system prompt and `user_message`.
    :param extra: Passed on to the provider as it is (`top_p`, `seed`, `stop`).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    user_message: str = Field(min_length=1)
    prompt: RactoPrompt | None = None
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int = Field(default=4096, gt=0)
    tools: SkipValidation[Any] = None  # a ToolRegistry, which lives a room above
    response_model: type[BaseModel] | None = None
    history: list[Message] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)
