"""What every way of asking documents has in common: a database of its own or a given one, and a kit that answers from passages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from .database import Database
from .errors import InputError, NoModelError

if TYPE_CHECKING:
    from .answers import Passage
    from .prompts import RactoPrompt
    from .vocabulary import ChatConfig

CONTEXT_TEMPLATE = "Passages found for the question, each under its number:\n\n{context}\n\nQuestion: {question}"
CONTEXT_TOKENS = 16_000
"""The most tokens of passages a model is given, as `turns.estimate` counts them."""


class ChatKit(Protocol):
    """What asking asks of a developer kit."""

    async def achat(self, config: ChatConfig) -> Any:
        """The model's answer; its text is in `content`."""
        ...


@dataclass(frozen=True, slots=True)
class Grounded:
    """An answer with what it was given.

    :param answer: What the kit answered; its text is in `answer.content`.
    :param context: The passages as the model read them.
    :param given: Those that found room, in their order.
    """

    answer: Any
    context: str
    given: list[Passage]


async def ask(
    kit: ChatKit,
    question: str,
    passages: Sequence[Passage],
    *,
    template: str = CONTEXT_TEMPLATE,
    prompt: RactoPrompt | None = None,
    temperature: float | None = None,
    max_tokens: int = 2048,
) -> Grounded:
    """Have a kit answer from numbered passages.

    :param template: What it is asked; has `{context}` and `{question}`.
    :param prompt: The system prompt; by default one that asks for citations.
    """
    from .answers import context
    from .answers import prompt as answer_prompt
    from .turns import estimate  # pydantic models, like the next: 20 ms that a search does not need
    from .vocabulary import ChatConfig

    text, given = context(passages, CONTEXT_TOKENS, estimate)
    text = text or "(no passage was found)"
    values = {"{context}": text, "{question}": question}
    # One pass: what looks like a placeholder in a passage or question stays as it is.
    message = re.sub(r"\{context\}|\{question\}", lambda found: values[found[0]], template)
    config = ChatConfig(
        user_message=message, prompt=prompt or answer_prompt(), temperature=temperature, max_tokens=max_tokens
    )
    return Grounded(await kit.achat(config), text, given)


class Answering:
    """A database with somebody who answers from it.

    :param llm_kit: Answers; without one there is only what is found.
    :param context_template: What it is asked; needs `{context}` and `{question}`.
    :param default_prompt: The system prompt, where a call brings none.
    :param database: A database that is shared with others, and stays open.
    :param path: The SQLite file instead; without either, a temporary one that goes with this object.
    :raises InputError: the template lacks a place, or both a database and a path were given.
    """

    def __init__(
        self,
        llm_kit: ChatKit | None,
        context_template: str | None,
        default_prompt: RactoPrompt | None,
        database: Database | None,
        path: Path | str | None,
    ) -> None:
        if database is not None and path is not None:
            raise InputError("Both a database and a path were given.", "Give one of them.")
        self._template = context_template or CONTEXT_TEMPLATE
        if not {"{context}", "{question}"} <= set(re.findall(r"\{context\}|\{question\}", self._template)):
            raise InputError("The context template lacks {context} or {question}.", "Put both where they belong.")
        self._kit = llm_kit
        self._prompt = default_prompt
        self._owned = database is None
        self.database = database or Database(path)

    def _answering_kit(self) -> ChatKit:
        if self._kit is None:
            raise NoModelError(
                "There is no model to answer with.", "Pass llm_kit=…, or use retrieve() for what was found alone."
            )
        return self._kit

    async def _answer(
        self,
        question: str,
        passages: Sequence[Passage],
        prompt: RactoPrompt | None,
        temperature: float | None,
        max_tokens: int,
    ) -> Grounded:
        return await ask(
            self._answering_kit(),
            question,
            passages,
            template=self._template,
            prompt=prompt or self._prompt,
            temperature=temperature,
            max_tokens=max_tokens,
        )

    def close(self) -> None:
        """Close the database, unless it was given."""
        if self._owned:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
