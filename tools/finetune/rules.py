"""What each provider refuses in a dataset, as data with its source and the day it was revised."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from ...knowledge.errors import InputError
from .formats import form
from .messages import RactoTrainingExample

READ_ON = date(2026, 11, 21)
"""The day the rules were last revised."""

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a format.

    :param examples: The fewest and the most of a file; `None` for no limit.
    :param megabytes: The largest file.
    :param tokens: The longest example; compared by `dataset_check`, which counts.
    :param images: The most in one example; 0 where they must lie elsewhere.
    :param image_megabytes: The largest one.
    :param preferences: Whether each, or none, of the examples is a pair; `None` for either.
    :param alternate: Whether user and assistant speak in turn.
    :param tools: Whether calls and their results are taken.
    :param source: Where it is written.
    """

    source: str
    examples: tuple[int, int | None] = (1, None)
    megabytes: int | None = None
    tokens: int | None = None
    images: int | None = None
    image_megabytes: int | None = None
    preferences: bool | None = False
    alternate: bool = False
    tools: bool = True


_OPENAI = "platform.openai.com/docs/guides/supervised-fine-tuning"
_AWS = "docs.aws.amazon.com"
RULES = {
    "openai": Rules(_OPENAI, (10, None), 512, 65_536, images=10, image_megabytes=10),
    "openai_dpo": Rules(
        "platform.openai.com/docs/guides/direct-preference-optimization",
        (10, None),
        512,
        65_536,
        10,
        10,
        preferences=True,
    ),
    "gemini": Rules(
        "cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare",
        megabytes=1024,
        tokens=131_072,
        preferences=None,
    ),
    "gemini_text": Rules("ai.google.dev/gemini-api/docs/model-tuning (closed)", images=0, tools=False),
    "anthropic": Rules(
        f"{_AWS}/bedrock/latest/userguide/model-customization-prepare.html", (32, 10_000), 10_240, 32_000
    ),
    "bedrock": Rules(
        f"{_AWS}/nova/latest/userguide/fine-tune-prepare-data-understanding.html",
        (8, 20_000),
        tokens=32_000,
        images=0,
        alternate=True,
        tools=False,
    ),
    "together": Rules(
        "docs.together.ai/docs/fine-tuning/data-preparation", megabytes=102_400, preferences=None, alternate=True
    ),
    "fireworks": Rules("docs.fireworks.ai/fine-tuning/fine-tuning-models", (3, 3_000_000), preferences=None),
    "jsonl": Rules("huggingface.co/docs/trl/dataset_formats", preferences=None),
}


def problems(examples: Iterable[RactoTrainingExample], provider: str) -> Iterator[str]:
    """What a provider would refuse, as it is found: `line N: what is wrong; how to correct it`, and then what concerns the whole file.

    :raises UnknownNameError: there is no such provider.
    """
    shape, rules = form(provider), RULES[provider]
    count = size = pairs = 0
    for count, example in enumerate(examples, 1):
        pairs += example.rejected is not None
        for problem in (*_shape(example), *_beyond(example, rules, provider)):
            yield f"line {count}: {problem}"
        try:
            size += len(json.dumps(shape.write(example), ensure_ascii=False).encode()) + 1
        except InputError as error:
            yield f"line {count}: {error}"
    fewest, most = rules.examples
    if count < fewest:
        yield f"the file holds {count} examples; {provider} takes no fewer than {fewest}"
    if most is not None and count > most:
        yield f"the file holds {count} examples; {provider} takes no more than {most}: split it"
    if rules.megabytes is not None and size > rules.megabytes * _MB:
        yield f"the file is {size / _MB:.0f} MB; {provider} takes no more than {rules.megabytes}: split it, or leave files out"
    if rules.preferences is None and 0 < pairs < count:
        yield f"{pairs} of {count} examples are preference pairs; one file holds only pairs, or none: split it"


def _shape(example: RactoTrainingExample) -> Iterator[str]:
    """What nobody can train on."""
    roles = [turn.role for turn in example.messages]
    if "user" not in roles:
        yield "nobody asks; add a user's message"
    if not roles or roles[-1] != "assistant":
        yield "the last message is not the assistant's; end with what the model should say"
    if "system" in roles[1:]:
        yield "a system message is not the first one; join it with the first"
    open_calls: set[str] = set()
    for number, turn in enumerate(example.messages, 1):
        if not turn.content.strip() and not turn.tool_calls and turn.role != "tool":
            yield f"message {number} ({turn.role}) is empty; write its text, or leave the example out"
        if turn.role == "tool" and turn.tool_call_id not in open_calls:
            yield f"message {number} is the result of {turn.tool_call_id!r}, which nobody called; name a call before it"
        if turn.role in ("user", "assistant") and open_calls:
            yield f"message {number} comes before the results of {', '.join(sorted(open_calls))}; add them"
            open_calls.clear()
        open_calls.discard(turn.tool_call_id or "")
        open_calls.update(call.id for call in turn.tool_calls)
    offered = {tool.get("name") for tool in example.tools}
    for name in sorted({call.name for turn in example.messages for call in turn.tool_calls} - offered):
        yield f"the tool {name!r} is called and not offered; add it to tools"
    if example.rejected is not None:
        if example.rejected.role != "assistant" or not example.rejected.content.strip():
            yield "the rejected answer is not a text of the assistant; write one"
        elif example.messages and example.rejected == example.messages[-1]:
            yield "the rejected answer is the preferred one; leave the pair out"


def _beyond(example: RactoTrainingExample, rules: Rules, provider: str) -> Iterator[str]:
    """What this provider does not take."""
    if rules.preferences is not None and (example.rejected is not None) != rules.preferences:
        better = (
            "add a rejected answer" if rules.preferences else "use a format for preferences (openai_dpo, together …)"
        )
        yield f"it is {'no ' if rules.preferences else 'a '}preference pair; {better}"
    if not rules.tools and (example.tools or any(turn.tool_calls for turn in example.messages)):
        yield f"{provider} takes no calls of tools; leave the example out"
    spoken = [turn.role for turn in example.messages if turn.role in ("user", "assistant") and not turn.tool_calls]
    calls = any(turn.tool_calls for turn in example.messages)
    if rules.alternate and not calls and any(role != ("user", "assistant")[at % 2] for at, role in enumerate(spoken)):
        yield "user and assistant do not speak in turn, the user first; join messages of one side"
    files = [file for turn in example.messages for file in turn.attachments if not file.is_text]
    if rules.images is not None and len(files) > rules.images:
        fix = "its images must lie in S3" if provider == "bedrock" else "leave some out"
        yield f"{len(files)} files; {provider} takes {rules.images or 'none'} inside an example: {fix}"
    for file in files:
        if not file.is_image and provider in ("openai", "openai_dpo", "together", "fireworks"):
            yield f"{file.name or 'a file'} is {file.media_type}; {provider} takes JPEG, PNG, GIF and WebP: attach its text"
        if rules.image_megabytes is not None and len(file.data) > rules.image_megabytes * _MB:
            yield f"{file.name or 'an image'} is larger than {rules.image_megabytes} MB; make it smaller"
