"""What the specification names is there: every class, field, default, parameter and method of the gateway, the library and the analyst,
line by line.

The lines are those of the checklists kept beside the repository. A line that racto keeps in another way is in docs/spec-deviations.md with
its number and reason; a line of prose names the test that shows it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import annotated_types
import pytest
from pydantic import BaseModel
from racto.agents.truncation import TruncationConfig
from racto.server.secrets import KNOWN

ROOT = Path(__file__).parents[1]
CHECKLIST = ROOT.parent / "shared" / "spec" / "checklist_racto.md"
SECTIONS = (
    *("KIT", "CHAT", "RESP", "STREAM", "EMB", "VAL", "COT", "GW"),
    *("CACHE", "ROUTE", "TRUNC", "BATCH", "ERR", "ENV", "REDIS"),
    *("RAG", "READ", "CHUNK", "PROC", "EMBED", "STORE"),
    "SQL",
)
MODULES = (
    "",
    ".openai_developer_kit",
    ".google_developer_kit",
    ".anthropic_developer_kit",
    ".ollama_developer_kit",
    ".huggingface_developer_kit",
    ".adapters",
    ".cache",
    ".routing",
    ".truncation",
    ".batch",
    ".redis",
    ".exceptions",
    ".gateway",
    ".rag.pipeline",
    ".rag.readers",
    ".rag.chunkers",
    ".rag.processors",
    ".rag.embedders",
    ".rag.stores",
    ".pipelines",
)
"""Where the specification imports from, below the package."""

SHOWN_BY = {
    "R-CACHE-T001": "test_the_same_question_is_answered_without_asking_router_or_model",
    "R-CACHE-T002": "test_a_question_that_means_the_same_is_answered_from_the_cache",
    "R-CACHE-T003": "test_auto_becomes_the_model_of_the_tier_and_says_why",
    "R-CACHE-T004": "test_a_conversation_that_is_too_long_is_shortened_and_says_so",
    "R-CACHE-T005": "test_every_item_gets_its_own_answer_in_the_order_of_the_items",
    "R-CACHE-T008": "test_a_key_alone_is_taken_as_it_is",
    "R-CACHE-T009": "test_a_key_alone_is_taken_as_it_is",
    "R-CACHE-T010": "test_a_key_alone_is_taken_as_it_is",
    "R-CACHE-T013": "test_a_question_of_the_same_meaning_is_answered_under_both_spellings_of_the_constructor",
    "R-CACHE-T014": "test_a_question_of_the_same_meaning_is_answered_under_both_spellings_of_the_constructor",
    "R-CACHE-T017": "test_1000_identical_calls_at_once_are_one",
    "R-CACHE-T018": "test_the_example_of_the_readme_counts_as_it_says",
    "R-CACHE-T019": "test_the_examples_of_the_readme_are_routed_as_it_promises",
    "R-CACHE-T020": "test_every_item_gets_its_own_answer_in_the_order_of_the_items",
    "R-ROUTE-T003": "test_a_score_is_at_most_sixty_for_length_and_forty_for_words",
    "R-ROUTE-T004": "test_a_score_is_at_most_sixty_for_length_and_forty_for_words",
    "R-RAG-T003": "test_the_chunker_and_the_processors_nobody_chose_are_the_specified_ones",
    "R-RAG-T004": "test_the_chunker_and_the_processors_nobody_chose_are_the_specified_ones",
    "R-REDIS-T031": "test_a_user_has_so_many_tokens_a_minute_and_a_refusal_takes_none",
    "R-REDIS-T032": "test_a_conversation_keeps_its_last_turns_oldest_first",
    "R-REDIS-T033": "test_two_servers_share_their_answers_through_redis",
    "R-REDIS-T034": "test_the_same_question_is_answered_without_asking_router_or_model",
    "R-REDIS-T035": "test_a_conversation_keeps_its_last_turns_oldest_first",
}
"""A line of prose → the test that shows it."""

DEVIATIONS = frozenset(re.findall(r"R-[A-Z]+-[AT]\d+", (ROOT / "docs" / "spec-deviations.md").read_text()))


@dataclass(frozen=True)
class Line:
    """One line of the checklist."""

    id: str
    text: str


def _lines() -> list[Line]:
    if not CHECKLIST.exists():
        return []
    wanted = re.compile(rf"- \[ \] (R-(?:{'|'.join(SECTIONS)})-[AT]\d+) \| (.*) \| \d{{3}}:L\d+")
    return [Line(*found.groups()) for found in map(wanted.match, CHECKLIST.read_text().splitlines()) if found]


LINES = _lines()


class MissingError(AssertionError):
    """What a line promises is not so."""


def need(condition: object, what: str) -> None:
    if not condition:
        raise MissingError(what)


def named(name: str) -> Any:
    """What the specification calls so, from wherever it is imported."""
    for module in MODULES:
        found = getattr(_module(module), name, None)
        if found is not None:
            return found
    raise MissingError(f"there is no {name}")


def _module(below: str) -> ModuleType:
    return import_module(f"racto{below}")


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    found.pop("self", None)
    return found


def default_of(owner: Any, name: str) -> Any:
    """The default of a field or constructor parameter; `inspect.Parameter.empty` when it must be given."""
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        need(name in owner.model_fields, f"{owner.__name__} has no field {name}")
        field = owner.model_fields[name]
        return inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
    if dataclasses.is_dataclass(owner):
        fields = {each.name: each for each in dataclasses.fields(owner)}
        if name in fields:
            field_ = fields[name]
            if field_.default_factory is not dataclasses.MISSING:
                return field_.default_factory()
            return inspect.Parameter.empty if field_.default is dataclasses.MISSING else field_.default
    return default_in(owner, name)


def default_in(function: Any, name: str) -> Any:
    known = parameters(function)
    name = name.lstrip("*")
    need(name in known, f"{function} has no parameter {name}")
    return known[name].default


def literal(text: str) -> Any:
    """The value a document writes."""
    text = text.strip()
    match = re.fullmatch(r"<(\w+)\.(\w+): .*>", text)
    if match:
        return getattr(named(match[1]), match[2])
    need(not re.match(r"<function|\[?[A-Z]\w+\(", text), f"{text} is no value")
    if match := re.fullmatch(r"<factory (\w+)>", text):
        return [] if match[1] == "list" else {} if match[1] == "dict" else named(match[1])()
    return ast.literal_eval(text)


def same(owner: Any, name: str, wanted: str) -> None:
    have = default_of(owner, name)
    if wanted in ("required", "Yes"):
        need(have is inspect.Parameter.empty, f"{name} must be required, its default is {have!r}")
        return
    need(have == literal(wanted), f"the default of {name} is {have!r}, not {wanted}")


def signature(function: Any, text: str) -> None:
    """The parameters a document shows, in their order, with their defaults; there may be more, which then are optional."""
    have = parameters(function)
    text = text.replace("<object object>", "...")  # what is not given
    tree = ast.parse(f"def f({text}): pass").body[0]
    assert isinstance(tree, ast.FunctionDef)
    arguments = tree.args
    positional = [each.arg for each in arguments.args]
    need([name for name in have if name in positional] == positional, f"its parameters are {list(have)}")
    given = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    given |= {
        each.arg: value
        for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value is not None
    }
    for name in [*positional, *(each.arg for each in arguments.kwonlyargs)]:
        need(name in have, f"it has no parameter {name}")
        if name in given:
            wanted = ast.literal_eval(given[name])
            need(have[name].default == wanted, f"the default of {name} is {have[name].default!r}, not {wanted!r}")
    for name, parameter in have.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        need(
            name in positional or name in given or optional or _is_keyword(arguments, name), f"{name} must be optional"
        )


def _is_keyword(arguments: ast.arguments, name: str) -> bool:
    return any(each.arg == name for each in arguments.kwonlyargs)


def member(owner: Any, name: str, text: str | None) -> None:
    need(hasattr(owner, name), f"{owner.__name__} has no {name}")
    if text and text != "...":
        signature(getattr(owner, name), text)


def limits(owner: Any, name: str, text: str) -> None:
    """The bounds a document writes, as `Ge(ge=0)`."""
    wanted = re.findall(r"(Ge|Gt|Le|Lt|MinLen)\((\w+)=([\d.]+)\)", text)
    for kind, key, value in wanted:
        found = [each for each in owner.model_fields[name].metadata if isinstance(each, getattr(annotated_types, kind))]
        need(found and getattr(found[0], key) == float(value), f"{name} is not bounded by {kind} {value}")


def constructor_or_field(found: re.Match[str]) -> None:
    owner = named(found["owner"])
    name = re.match(r"\*{0,2}\w+", found["name"])
    assert name
    default = re.search(r"Default: (?:`(.*?)`(?:;|$)|(required))", found["rest"])
    if default:
        same(owner, name[0], default[1] or default[2])
    elif "Required: Yes" in found["rest"]:
        same(owner, name[0], "required")
    elif not isinstance(getattr(owner, name[0], None), property):
        default_of(owner, name[0])


def typed_field(found: re.Match[str]) -> None:
    owner, name, rest = named(found["owner"]), found["name"], found["rest"]
    if "(required)" in rest:
        same(owner, name, "required")
    elif match := re.match(r" = (.*?)(?: \[|$)", rest):
        same(owner, name, match[1])
    limits(owner, name, rest)


def class_signature(found: re.Match[str]) -> None:
    owner = named(found["owner"])
    if found["text"] and found["text"] not in ("**data", "*values"):
        signature(owner, found["text"])


def method_parameter(found: re.Match[str]) -> None:
    function = getattr(named(found["owner"]), found["method"])
    have = default_in(function, found["name"])
    default = re.search(r"Default: `(.*?)`(?:;|$)", found["rest"])
    if default:
        need(have == literal(default[1]), f"the default is {have!r}")


def twins(found: re.Match[str]) -> None:
    for each in (found["name"], found["twin"]):
        member(named(found["owner"]), each, None)


def enum_value(found: re.Match[str]) -> None:
    owner = named(found["owner"])
    assert issubclass(owner, Enum)
    need(found["name"] in owner.__members__, f"there is no {found['name']}")
    value = found.groupdict().get("value") or found["name"].lower()
    need(owner[found["name"]].value == value, f"its value is not {value}")


def kit_method(found: re.Match[str]) -> None:
    kits = {"gpt": "openai", "gemini": "google", "claude": "anthropic", "local": "ollama", "hf": "huggingface"}
    said = dict(re.findall(r"`(\w+)`: (Yes|—)", found["rest"]))
    need(said.keys() == kits.keys(), "the line has other kits")
    for short, provider in kits.items():
        kit = _module(f".{provider}_developer_kit").Chat
        need(hasattr(kit, found["name"]) == (said[short] == "Yes"), f"{short}.{found['name']}")


def context_limit(found: re.Match[str]) -> None:
    limit = int(found["tokens"].replace(",", ""))
    patterns = re.findall(r"`([\w.*-]+)`", found["models"])
    kinds = re.search(r"\((.*)\)", found["models"])
    models = [pattern.replace("-*", "*").replace("*", ending) for pattern in patterns for ending in ("", "-2024-08-06")]
    if kinds:
        models = [f"claude-3-{kind}-20240229" for kind in kinds[1].split(", ")]
    for model in models if kinds or "*" in found["models"] else patterns:
        have = TruncationConfig().resolve_limit(model)
        need(have == limit, f"{model} reads {have}")


def variable(found: re.Match[str]) -> None:
    need(KNOWN.get(found["name"]) == found["provider"].lower(), f"{found['name']} is not known")


def reads(found: re.Match[str]) -> None:
    for extension in re.findall(r"`(\.\w+)`", found["rest"]):
        have = type(named("FileReaderRegistry")().get_reader(f"x{extension}"))
        need(have is named(found["owner"]), f"{extension} is read by {have.__name__}")


def chunker(found: re.Match[str]) -> None:
    for name, wanted in re.findall(r"`(\w+)(?:=([\d.]+))?`", found["keys"]):
        same(named(found["owner"]), name, wanted or "required")


RULES: dict[str, Callable[[re.Match[str]], None]] = {
    r"(?P<owner>\w+) (?:constructor parameter|(?:documented )?field) `(?P<name>\w+)`(?P<rest> —.*)": constructor_or_field,
    r"(?P<owner>\w+) field `(?P<name>\w+): .*?`(?P<rest>(?: = .*| \(required\).*|)$)": typed_field,
    r"(?P<owner>\w+) parameter `(?P<name>\w+)(?:: [^`]*)?`(?P<rest>.*)": constructor_or_field,
    r"(?P<owner>\w+)\.(?P<method>\w+)\(\) parameter `\**(?P<name>\w+)`(?P<rest>.*)": method_parameter,
    r"(?:class|exception) `(?P<owner>\w+)(?:\((?P<text>.*)\))?`": class_signature,
    r"(?P<owner>\w+) (?:member|method) `(?:async )?(?P<name>\w+)(?:\((?P<text>.*?)\))?`.*": lambda found: member(
        named(found["owner"]), found["name"], found["text"]
    ),
    r"(?P<owner>\w+) `property (?P<name>\w+): .*?`.*": lambda found: member(named(found["owner"]), found["name"], None),
    r"(?P<owner>\w+) `(?P<name>\w+) / (?P<twin>\w+)`.*": twins,
    r"(?P<owner>\w+) enum value `\w+\.(?P<name>\w+)` — String: `\"(?P<value>\w+)\"`.*": enum_value,
    r"(?P<owner>\w+) enum value `(?P<name>\w+) = '(?P<value>\w+)'`": enum_value,
    r"(?P<owner>\w+) enum value `(?P<name>\w+)` — Description: .*": enum_value,
    r"Method: `(?P<name>\w+)\(config\)`(?P<rest>.*)": kit_method,
    r"Model: (?P<models>.*) — Context tokens: (?P<tokens>[\d,]+)": context_limit,
    r"Variable: `(?P<name>\w+)` — Provider: (?P<provider>\w+).*": variable,
    r"Class: `(?P<owner>\w+)`(?P<text>).*": class_signature,
    r"Reader: `(?P<owner>\w+)` — Extensions: (?P<rest>.*?) — .*": reads,
    r"Chunker: `(?P<owner>\w+)` — Key Parameters: (?P<keys>.*?) — .*": chunker,
}
"""How a line reads → what it promises."""


def examine(line: Line) -> None:
    """
    :raises MissingError: what the line promises is not so.
    """
    for pattern, rule in RULES.items():
        found = re.fullmatch(pattern, line.text)
        if found:
            return rule(found)
    raise LookupError(line.text)


pytestmark = pytest.mark.skipif(not LINES, reason=f"there is no checklist {CHECKLIST}")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.id)
def test_what_a_line_of_the_specification_names_is_there(line: Line) -> None:
    if line.id in SHOWN_BY:
        with pytest.raises((MissingError, LookupError)):  # else the line needs no test of its own
            examine(line)
    elif line.id in DEVIATIONS:
        with pytest.raises(MissingError):  # else it is no deviation
            examine(line)
    else:
        examine(line)


def test_every_line_of_the_sections_was_looked_at() -> None:
    count = Counter(line.id.split("-")[1] for line in LINES)
    print(f"{len(LINES)} lines: {', '.join(f'{section} {number}' for section, number in sorted(count.items()))}")
    deviating = [line.id for line in LINES if line.id in DEVIATIONS]
    print(f"{len(SHOWN_BY)} of prose, {len(deviating)} kept in another way: {', '.join(deviating)}")
    assert len(LINES) >= 649
    # Validation has lines of behaviour only.
    assert count.keys() == set(SECTIONS) - {"VAL"}
    assert SHOWN_BY.keys() <= {line.id for line in LINES}


def test_a_test_that_shows_a_line_exists() -> None:
    here = Path(__file__).parent
    written = "\n".join(path.read_text() for path in here.glob("test_*.py") if path != Path(__file__))
    assert not [name for name in SHOWN_BY.values() if f"def {name}(" not in written]


@pytest.mark.parametrize(
    "text",
    [
        "ChatConfig field `user_massage` — Type: `str`; Required: Yes",
        "ChatConfig field `max_tokens` — Type: `int`; Default: `4095`; Description: one less",
        "BatchItem field `custom_id: str` = None",
        "BatchItem field `max_tokens: int` = 4096 ['Gt(gt=1)']",
        "class `Gateway(adapter, *, tools=None, default_prompt=1)`",
        "class `NoSuchClass`",
        "Gateway.run() parameter `nothing`: Any — not there",
        "BatchStatus enum value `PENDING = 'waiting'`",
        "OpenAIBatchProcessor method `poll_status(job)` — another name",
        "Model: `gpt-4` — Context tokens: 8,193",
        "Variable: `OPENAI_KEY` — Provider: OpenAI — Description: none",
        "Reader: `WordReader` — Extensions: `.docx`, `.pdf` — Install: nothing",
        "Chunker: `FixedChunker` — Key Parameters: `chunk_size=512`, `overlap=51` — Description: one more",
        "SQLAnalystResult field `columns: list[str]` = <factory PipelineUsage>",
        "SQLAnalystPipeline method `run(user_query, *, engine=<object object>, chart=None)` — another default",
        "PipelineUsage documented field `total` — Grand total",
    ],
)
def test_a_line_that_is_not_so_is_noticed(text: str) -> None:
    with pytest.raises(MissingError):
        examine(Line("", text))
