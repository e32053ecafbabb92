"""Datasets made of what is kept here: conversations, classified texts and files, each only with consent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ...knowledge.contexts import ContextStore
from ...knowledge.turns import from_a_question
from ...knowledge.vocabulary import Message
from .dataset import RactoDataset
from .messages import RactoTrainingExample, RactoTrainingMessage
from .private import redacted
from .rules import problems

_PAGE = 500  # messages


@dataclass(frozen=True, slots=True)
class Source:
    """Where examples come from.

    :param name: Told in the report.
    :param examples: `from_contexts`, `from_labels`, `read_jsonl` …; read only when there is consent.
    :param consent: Whether those who wrote it agreed to it being trained on.
    """

    name: str
    examples: Iterable[RactoTrainingExample]
    consent: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset and how it came to be.

    :param used: Name of a source → how many of its examples are in the dataset.
    :param refused: Sources without consent; nothing of them was read.
    :param incomplete: How many examples nobody can train on, such as a question without an answer; they were left out.
    """

    dataset: RactoDataset
    used: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    incomplete: int = 0


def build(sources: Iterable[Source], *, redact: bool = True) -> Built:
    """One dataset of all sources that carry consent.

    :param redact: Whether personal data and secrets in texts are replaced by their kind; images and PDF are left as they are.
    """
    dataset, used, refused, incomplete = RactoDataset(), dict[str, int](), list[str](), 0
    for source in sources:
        if not source.consent:
            refused.append(source.name)
            continue
        before = len(dataset)
        for example in source.examples:
            if any(problems([example], "jsonl")):
                incomplete += 1
            else:
                dataset.add(_redacted(example) if redact else example)
        used[source.name] = used.get(source.name, 0) + len(dataset) - before
    return Built(dataset, used, refused, incomplete)


def from_contexts(store: ContextStore, names: Iterable[str], owner: str = "") -> Iterator[RactoTrainingExample]:
    """Conversations as they were kept, up to their last answer.

    :raises UnknownNameError: the owner has none of this name.
    """
    for name in names:
        messages: list[Message] = []
        while page := store.read(name, owner, first=len(messages) + 1, limit=_PAGE):
            messages += [each.message for each in page]
        told = from_a_question(messages)
        while told and (told[-1].role != "assistant" or told[-1].tool_calls):
            told.pop()
        yield RactoTrainingExample([_turn(each) for each in told])


def from_labels(pairs: Iterable[tuple[str, str]], options: Sequence[str]) -> Iterator[RactoTrainingExample]:
    """Texts and their labels, as the classifier's audit log and corrections hold them (`History.labelled`).

    :param options: The labels to choose from; a pair with another one is left out.
    """
    system = "Choose the one label that fits the text, and answer with nothing else:\n" + "\n".join(options)
    allowed = set(options)
    for text, label in pairs:
        if label in allowed:
            yield RactoTrainingExample.from_pair(text, label, system=system)


def _turn(message: Message) -> RactoTrainingMessage:
    files, calls = list(message.attachments), list(message.tool_calls)
    return RactoTrainingMessage(message.role.value, message.content, files, calls, message.tool_call_id)


def _redacted(example: RactoTrainingExample) -> RactoTrainingExample:
    """The example without private data in what is said, in arguments of calls and in texts attached."""
    messages = [_clean(each) for each in example.messages]
    return replace(example, messages=messages, rejected=_clean(example.rejected) if example.rejected else None)


def _clean(turn: RactoTrainingMessage) -> RactoTrainingMessage:
    calls = [
        replace(call, arguments={name: _deep(value) for name, value in call.arguments.items()})
        for call in turn.tool_calls
    ]
    files = [
        type(file)(redacted(file.text).encode(), file.mime_type, file.name) if file.is_text else file
        for file in turn.attachments
    ]
    return replace(turn, content=redacted(turn.content), tool_calls=calls, attachments=files)


def _deep(value: object) -> object:
    match value:
        case str():
            return redacted(value)
        case list():
            return [_deep(each) for each in value]
        case dict():
            return {name: _deep(each) for name, each in value.items()}
    return value
