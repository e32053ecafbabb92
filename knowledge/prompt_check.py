"""Find what makes a prompt fail, without a model: holes, contradictions, braces, examples that break the promised form.

Every finding is decided, not guessed; what only a model could judge is left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

from .contradictions import Clash, Rule, contradictions, duplicates, rules_of
from .errors import InputError
from .headings import neutralise, neutralise_example
from .placeholders import PLACEHOLDER, texts, variables_of
from .prompts import RactoPrompt, prompt_from, with_legacy

Severity = Literal["error", "warning", "info"]

CONTEXT_WINDOW: Final = 8192
"""Tokens a prompt is held to when nothing else is said: the window small local models are run with."""

CHARACTERS_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that makes a prompt fail.

    :param severity: `error`: it will fail; `warning`: it may; `info`: worth knowing.
    :param where: The path of the field: `aim`, `constraints[2]`, `examples[0].output`.
    :param what: What is wrong.
    :param fix: What to do about it.
    """

    severity: Severity
    where: str
    what: str
    fix: str


def check_prompt(
    prompt: RactoPrompt | Mapping[str, Any],
    variables: Mapping[str, Sequence[str]] | None = None,
    context_window: int = CONTEXT_WINDOW,
) -> list[Finding]:
    """What makes `prompt` fail, the worst first; empty when nothing was found.

    :param prompt: A prompt, or the fields of one that need not be whole yet.
    :param variables: The variables it declares with their choices; `None` when it declares none and any `{name}` is one.
    :param context_window: Tokens the model can hold, at an estimated four characters a token.
    """
    fields = dict(prompt) if isinstance(prompt, RactoPrompt) else with_legacy(prompt)
    findings = [
        *_holes(fields),
        *_vagueness(fields),
        *_rule_clashes(fields),
        *_braces(fields, variables),
        *_schema(fields),
        *_examples(fields),
        *_forged_headings(fields),
        *_size(fields, context_window),
        *_guardrails(fields),
    ]
    order = ("error", "warning", "info")
    return sorted(dict.fromkeys(findings), key=lambda finding: order.index(finding.severity))


# Holes -----------------------------------------------------------------------------------------------------------------------

_ASK = {
    "role": "Say who the model is: a profession, a level, a field.",
    "aim": "Say in one sentence what the model must accomplish.",
    "tone": "Say how it speaks, e.g. 'Professional and concise'.",
    "output_format": "Say json, text or markdown, describe the form, or give a JSON Schema.",
}

_PAIR = "Every example is a pair of 'input' and 'output'."


def _holes(fields: Mapping[str, Any]) -> Iterator[Finding]:
    for name, fix in _ASK.items():
        value = fields.get(name)
        if value is None or value == {} or (isinstance(value, str) and not value.strip()):
            yield Finding("error", name, f"There is no {name.replace('_', ' ')}.", fix)
    constraints = fields.get("constraints")
    if not isinstance(constraints, list) or not constraints:
        yield Finding(
            "error", "constraints", "There is no constraint.", "Give at least one rule the model must never break."
        )
    for index, constraint in enumerate(constraints if isinstance(constraints, list) else ()):
        if isinstance(constraint, str) and not constraint.strip():
            yield Finding("error", f"constraints[{index}]", "This constraint is blank.", "Write it or remove it.")
    context = fields.get("context")
    if isinstance(context, str) and not context.strip():
        yield Finding("warning", "context", "The context is empty.", "Fill it or leave the field out.")
    for index, example in enumerate(fields.get("examples") or ()):
        if not isinstance(example, Mapping):
            yield Finding("error", f"examples[{index}]", "This is not a pair.", _PAIR)
        elif missing := [key for key in ("input", "output") if key not in example]:
            yield Finding("error", f"examples[{index}]", f"This example has no {' and no '.join(missing)}.", _PAIR)


_NOBODY = re.compile(
    r"(?:you are |act as |be )?(?:an? |the |my )?(?:very |really )?(?:helpful |good |smart |friendly |useful |great |general )*"
    r"(?:ai |language |chat ?)*(?:assistant|ai|model|bot|chatbot|helper|expert|llm|agent)",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"(?:please )?(?:help|assist|answer|respond|reply|chat|talk|do it|do your best|be helpful|be useful|help me|help the user"
    r"|assist the user|help users|answer questions|answer the question|do the task|do what (?:the user|i) says?)",
    re.IGNORECASE,
)


def _vagueness(fields: Mapping[str, Any]) -> Iterator[Finding]:
    for name, pattern in (("role", _NOBODY), ("aim", _NOTHING)):
        text = fields.get(name)
        if isinstance(text, str) and pattern.fullmatch(text.strip(" \n.!")):
            yield Finding("warning", name, f"The {name} could stand in any prompt.", _ASK[name])


# Rules -----------------------------------------------------------------------------------------------------------------------


def _rule_clashes(fields: Mapping[str, Any]) -> Iterator[Finding]:
    named = [
        (where, text) for where, text in texts(fields) if where in ("aim", "tone") or where.startswith("constraints[")
    ]
    kind = _output_kind(fields.get("output_format"))
    if not kind and isinstance(form := fields.get("output_format"), str):
        named.append(("output_format", form))
    rules = [rule for where, text in named for rule in rules_of(where, text)]
    for clash in contradictions(rules, kind):
        yield Finding("error", _both(clash), f"{_quoted(clash)}: {clash.what}.", "Keep one of them.")
    whole = [Rule(where, text) for where, text in named if where.startswith("constraints[")]
    for clash in duplicates(whole):
        fix = "Remove one: a repeated rule costs tokens and weighs no more."
        yield Finding("warning", _both(clash), f"{_quoted(clash)}: {clash.what}.", fix)


def _both(clash: Clash) -> str:
    return ", ".join(dict.fromkeys((clash.first.where, clash.second.where)))


def _quoted(clash: Clash) -> str:
    return " / ".join(repr(_short(text)) for text in dict.fromkeys((clash.first.text, clash.second.text)))


def _output_kind(output_format: object) -> str:
    if isinstance(output_format, str):
        word = output_format.strip().lower()
        return word if word in ("json", "markdown", "text") else ""
    return "json" if output_format else ""


# Braces ----------------------------------------------------------------------------------------------------------------------

_NEAR_VARIABLE = re.compile(r"\{\{? +[^\W\d]\w* *\}\}?|\{\{?[^\W\d]\w* +\}\}?|\{\{?[^\W\d]\w*(?:[.-][^\W\d]\w*)+\}\}?")
_OTHER_BRACES = re.compile(r"(?:\\[A-Za-z]+|[_^$])\{([^\W\d]\w*)\}")
"""Braces of TeX and of shell or JavaScript templates right around a word."""
_QUOTED_BRACE = re.compile(r"`[^`\n]*`|(['\"])[{}]+\1")


def _braces(fields: Mapping[str, Any], variables: Mapping[str, Sequence[str]] | None) -> Iterator[Finding]:
    used = variables_of(fields)
    for where, text in texts(fields):
        yield from _text_braces(where, text)
        for name in {match[2] for match in PLACEHOLDER.finditer(text) if match[2]}:
            if variables and name not in variables:
                fix = f"Declare it, or write {{{{{name}}}}} for the braces themselves."
                yield Finding("error", where, f"{{{name}}} is not a declared variable.", fix)
    for name in (variables or {}).keys() - set(used):
        yield Finding(
            "warning", "variables", f"The variable {name!r} is never used.", f"Write {{{name}}} where it belongs."
        )


def _text_braces(where: str, text: str) -> Iterator[Finding]:
    for near in dict.fromkeys(match[0] for match in _NEAR_VARIABLE.finditer(text)):
        yield Finding(
            "warning", where, f"{near} is not a variable.", "A variable is {name}: one word, no blanks, no other marks."
        )
    for match in _OTHER_BRACES.finditer(text):
        fix = f"Write {{{{{match[1]}}}}} to keep the braces."
        yield Finding("warning", where, f"{match[0]} will be read as the variable {match[1]!r}.", fix)
    plain = PLACEHOLDER.sub("", _QUOTED_BRACE.sub("", text))
    if plain.count("{") != plain.count("}"):
        fix = "Close what is open; a variable is {name}, and {{name}} stays as it is."
        yield Finding("warning", where, "The braces do not pair up.", fix)


# Examples --------------------------------------------------------------------------------------------------------------------


def _validator(schema: Mapping[str, Any]) -> Any:
    """What examines values against `schema`; it fetches nothing, whatever the schema refers to."""
    from referencing import Registry

    return _draft_2020()(schema, registry=Registry())


@cache
def _draft_2020() -> Any:
    from jsonschema import Draft202012Validator, validators  # 60 ms, and only a schema needs it

    return validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]  # its stubs have no types for it


def _pattern(validator: Any, pattern: Any, value: object, schema: object) -> Iterator[Exception]:
    """The keyword `pattern`. What Python's own engine would try for ever on some patterns, this one decides in linear time."""
    from jsonschema.exceptions import ValidationError as Mismatch

    found = _searcher(pattern) if isinstance(value, str) and isinstance(pattern, str) else None
    if found and not found.isinstance_python(value):
        yield Mismatch(f"{value!r} does not match {pattern!r}")


@lru_cache(maxsize=64)
def _searcher(pattern: str) -> SchemaValidator | None:
    """What tells whether a text holds a match; `None` for a pattern that is wrong, or looks ahead or back."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


def _schema(fields: Mapping[str, Any]) -> Iterator[Finding]:
    schema = fields.get("output_format")
    if isinstance(schema, dict) and schema:
        problem = next(_validator(_validator({}).META_SCHEMA).iter_errors(schema), None)
        if problem is not None:
            what = f"This is not a JSON Schema: {_short(problem.message)} (at {problem.json_path})."
            yield Finding("error", "output_format", what, "Correct it; JSON Schema 2020-12 is expected.")


def _examples(fields: Mapping[str, Any]) -> Iterator[Finding]:
    pairs = [
        (index, example["input"], example["output"])
        for index, example in enumerate(fields.get("examples") or ())
        if isinstance(example, Mapping) and all(isinstance(example.get(key), str) for key in ("input", "output"))
    ]
    form = fields.get("output_format")
    if isinstance(form, dict) and any(_schema(fields)):
        form = {}  # said already; a broken schema says nothing about the examples
    if _output_kind(fields.get("output_format")) == "json":
        for index, _, output in pairs:
            if problem := _json_problem(output, form):
                fix = "Correct the example (or the schema): a model follows examples before rules."
                yield Finding("error", f"examples[{index}].output", problem, fix)
    seen: dict[str, tuple[int, str]] = {}
    for index, given, output in pairs:
        first, expected = seen.setdefault(" ".join(given.split()), (index, output))
        where = f"examples[{first}], examples[{index}]"
        if first != index and expected.strip() == output.strip():
            yield Finding("warning", where, "The same example twice.", "Remove one.")
        elif first != index:
            fix = "Keep the one that is right, or make the inputs differ."
            yield Finding("error", where, "The same input has two different outputs.", fix)


def _json_problem(output: str, form: object) -> str:
    """What is wrong with an example's output where JSON was promised; empty when nothing is, or when variables leave it open."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError) as error:
        if "```" in output:
            return "The output is wrapped in a code fence, which the format forbids."
        return "" if PLACEHOLDER.search(output) else f"The output is not JSON: {error}."
    if PLACEHOLDER.search(output):
        return ""
    if isinstance(form, dict) and "patternProperties" in str(form):
        return ""  # names against patterns would be tried by Python's engine
    if isinstance(form, type) and issubclass(form, BaseModel):
        return _model_problem(output, form)
    return _schema_problem(value, form) if isinstance(form, dict) else ""


def _model_problem(output: str, model: type[BaseModel]) -> str:
    try:
        model.model_validate_json(output)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"The output breaks the schema: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}."
    return ""


def _schema_problem(value: object, schema: Mapping[str, Any]) -> str:
    from referencing.exceptions import Unresolvable

    try:
        problem = next(_validator(schema).iter_errors(value), None)
    except (Unresolvable, RecursionError) as error:
        return f"The schema cannot be applied: {'it refers to itself without end' if isinstance(error, RecursionError) else error}."
    return "" if problem is None else f"The output breaks the schema: {problem.json_path}: {_short(problem.message)}."


# The whole -------------------------------------------------------------------------------------------------------------------

_FACTUAL = re.compile(
    r"\b(?:facts?|factual|cit(?:e|ation|ations)|sources?|research|reports?|summari[sz]e|extract|legal|law|medical|diagnos\w+"
    r"|financial|histor(?:y|ical)|news|statistics?|scientific|answer questions)\b",
    re.IGNORECASE,
)


def _forged_headings(fields: Mapping[str, Any]) -> Iterator[Finding]:
    for where, text in texts(fields):
        escaped = neutralise_example(text) if where.startswith("examples[") else neutralise(text)
        if escaped != text:
            what = "A line looks like the heading of a section or example; it is compiled with a backslash in it."
            yield Finding("warning", where, what, "Reword it, or move the text to the field it belongs in.")


def _size(fields: Mapping[str, Any], context_window: int) -> Iterator[Finding]:
    try:
        tokens = len(prompt_from(fields).compile()) // CHARACTERS_PER_TOKEN
    except InputError:
        tokens = sum(len(text) for _, text in texts(fields)) // CHARACTERS_PER_TOKEN
    if tokens > context_window:
        longest = max(texts(fields), key=lambda item: len(item[1]), default=("output_format", ""))[0]
        what = f"The prompt is about {tokens:,} tokens, more than the {context_window:,} the model holds."
        yield Finding("error", longest, what, "Shorten the longest field, or use a model with a larger window.")


def _guardrails(fields: Mapping[str, Any]) -> Iterator[Finding]:
    aim = fields.get("aim")
    if fields.get("anti_hallucination") is False and isinstance(aim, str) and (match := _FACTUAL.search(aim)):
        what = f"The aim is about facts ({match[0]!r}), but the guardrails are off."
        yield Finding("info", "anti_hallucination", what, "Leave anti_hallucination on unless another rule covers it.")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
