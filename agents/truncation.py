"""Conversations that would not fit: the middle of the history is left out until they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from pydantic import BaseModel, Field

from ..knowledge.turns import PER_MESSAGE, estimate, from_a_question, message_tokens, units
from ..knowledge.vocabulary import ChatConfig, ChatRequest
from . import tokens
from .models import ModelRegistry
from .requests import chat_request

UNKNOWN_LIMIT = 8_192
"""Tokens a model is taken to read of which nothing is known."""


@cache
def _seed() -> ModelRegistry:
    return ModelRegistry()


class TruncationConfig(BaseModel):
    """How a conversation is shortened.

    :param max_context_tokens: The most tokens a call may read; `None` for what the model reads, less room for the answer.
    :param keep_first_n: So many messages at the start of the history stay as long as anything else can go.
    :param keep_last_n: So many at its end, likewise.
    :param safety_margin: Tokens left free.
    :param token_counter: Counts a text; `None` for the model's own tokenizer where it is on this machine, else the estimate of
        `turns.estimate`, for plain ASCII `len(text) // 4`.
    """

    max_context_tokens: int | None = Field(default=None, gt=0)
    keep_first_n: int = Field(default=2, ge=0)
    keep_last_n: int = Field(default=6, ge=0)
    safety_margin: int = Field(default=512, ge=0)
    token_counter: Callable[[str], int] | None = None

    def resolve_limit(self, model: str, models: ModelRegistry | None = None) -> int:
        """The most tokens a call to `model` may read and write: `max_context_tokens`, else what is known of it, else 8,192.

        :param models: Where models are looked up; by default among those that come with racto.
        """
        if self.max_context_tokens is not None:
            return self.max_context_tokens
        known = (models or _seed()).metadata(model)
        return (known and known.context_window) or UNKNOWN_LIMIT


class TokenTruncator:
    """Leaves out of a history what a model has no room for.

    Counted are the system prompt, tools, schema, history, the user's message and every attachment. What goes first is the middle of the
    history, its oldest turn first; then, if need be, the last messages from their oldest on, then the first ones. A tool's result goes with
    the call it answers. The user's message and everything else stay as they are, even where they alone are too long.

    :param models: Where limits are looked up; by default among the models that come with racto.
    """

    def __init__(self, config: TruncationConfig | None = None, *, models: ModelRegistry | None = None) -> None:
        self.config = config or TruncationConfig()
        self._models = models

    def truncate(self, chat_config: ChatConfig, model: str, *, halved: bool = False) -> ChatConfig:
        """`chat_config` with a history that fits `model`: itself when it does, else a copy.

        :param model: The provider's name of the model.
        :param halved: The model found it too long, whatever is known of it: keep at most half of the history's tokens.
        """
        if not chat_config.history:
            return chat_config
        request = chat_request(chat_config, None, model)
        for count in self._counters(model):
            room = self._room(chat_config, model) - _fixed(request, count)
            pieces = [
                (sum(message_tokens(each, count) for each in piece), piece) for piece in units(chat_config.history)
            ]
            total = sum(size for size, _ in pieces)
            room = min(room, total // 2) if halved else room
            if total <= room:
                return chat_config
        kept = [piece for _, piece in pieces]
        for at in self._first_to_go([len(piece) for piece in kept]):
            if total <= room:
                break
            total -= pieces[at][0]
            kept[at] = []
        history = [message for piece in kept for message in piece]
        return chat_config.model_copy(update={"history": history if kept[0] else from_a_question(history)})

    def _counters(self, model: str) -> list[Callable[[str], int]]:
        """What to count with, the last being what decides; a conversation that fits by one before it is not counted further."""
        if self.config.token_counter is not None:
            return [self.config.token_counter]
        tokenizer = tokens.REGISTRY.find(model)
        # No token is less than a byte, and bytes are quickly counted.
        return [estimate] if tokenizer is None else [_bytes, tokenizer.count]

    def _room(self, chat_config: ChatConfig, model: str) -> int:
        """Tokens a call may read."""
        limit = self.config.resolve_limit(model, self._models)
        # Of a model's window the answer needs its part; a limit that was given is one for what is read.
        answer = min(chat_config.max_tokens, limit // 2) if self.config.max_context_tokens is None else 0
        return limit - answer - self.config.safety_margin

    def _first_to_go(self, lengths: list[int]) -> list[int]:
        """The pieces of a history, by place, in the order they are left out: the middle, the end, the start."""
        total = sum(lengths)
        starts = [sum(lengths[:at]) for at in range(len(lengths))]
        first = [at for at, start in enumerate(starts) if start < self.config.keep_first_n]
        last = [
            at
            for at, start in enumerate(starts)
            if at not in first and start + lengths[at] > total - self.config.keep_last_n
        ]
        middle = [at for at in range(len(lengths)) if at not in first and at not in last]
        return [*middle, *last, *reversed(first)]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _fixed(request: ChatRequest, count: Callable[[str], int]) -> int:
    """Tokens of everything but the history: the system prompt, the tools, the schema and the user's message."""
    size = message_tokens(request.messages[-1], count) + PER_MESSAGE + count(request.system)
    for tool in request.tools:
        schema = json.dumps(dict(tool.input_schema), ensure_ascii=False)
        size += PER_MESSAGE + count(f"{tool.name} {tool.description} {schema}")
    if request.response_schema is not None:
        size += count(json.dumps(dict(request.response_schema), ensure_ascii=False))
    return size
