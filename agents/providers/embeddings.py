"""Texts in as many calls as a provider's limits ask, their vectors as one response in the order of the texts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ...knowledge.errors import MalformedResponseError, ModelNotAvailableError
from ...knowledge.vocabulary import ChatRequest, EmbeddingResponse, EmbeddingVector, LLMResponse, StreamChunk
from .answers import usage


@dataclass(frozen=True, slots=True)
class Embedded:
    """What one call gave.

    :param vectors: One for each of its texts, in their order.
    :param raw: The provider's answer.
    :param tokens: What it read, when the provider says so.
    :param model: The provider's own name of the model, when it gives one.
    :param warning: What was not as asked.
    """

    vectors: list[list[float]]
    raw: Any
    tokens: int | None = None
    model: str = ""
    warning: str = ""


def batches(texts: list[str], most: int, most_bytes: int | None = None) -> Iterator[list[str]]:
    """The texts in order, in as few lists as the limits allow; a text above the limit of bytes goes alone.

    :param most: How many texts one call may carry.
    :param most_bytes: How much UTF-8 they may be together.
    """
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode()) if most_bytes else 0
        if batch and (len(batch) == most or (most_bytes and size + length > most_bytes)):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


async def embed(
    provider: str, model: str, lists: Iterable[list[str]], call: Callable[[list[str]], Awaitable[Embedded]]
) -> EmbeddingResponse:
    """One response out of a call for each list of texts; within `guarded`.

    :raises MalformedResponseError: a call gave more or fewer vectors than texts.
    """
    vectors: list[EmbeddingVector] = []
    answers: list[Embedded] = []
    for texts in lists:
        answer = await call(texts)
        if len(answer.vectors) != len(texts):
            raise MalformedResponseError(f"{provider} did not give one vector for each text.", "Try again.")
        first = len(vectors)
        vectors += [
            EmbeddingVector(index=first + place, text=text, embedding=vector)
            for place, (text, vector) in enumerate(zip(texts, answer.vectors, strict=True))
        ]
        answers.append(answer)
    told = [answer.tokens for answer in answers if answer.tokens is not None]
    return EmbeddingResponse(
        vectors=vectors,
        model=answers[0].model or model,
        provider=provider,
        usage=usage(sum(told), 0) if told else {},
        warnings=list(dict.fromkeys(answer.warning for answer in answers if answer.warning)),
        raw=answers[0].raw if len(answers) == 1 else [answer.raw for answer in answers],
    )


class EmbedsOnly:
    """What a provider without chat models does when it is asked to chat."""

    name: str

    async def chat(self, request: ChatRequest) -> LLMResponse:
        """
        :raises ModelNotAvailableError: always.
        """
        raise self._refusal(request)

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        """
        :raises ModelNotAvailableError: always.
        """
        raise self._refusal(request)
        yield  # makes this an async generator, as the protocol asks

    def _refusal(self, request: ChatRequest) -> ModelNotAvailableError:
        return ModelNotAvailableError(
            f"{self.name} only embeds.", "Chat with another provider.", provider=self.name, model=request.model
        )
