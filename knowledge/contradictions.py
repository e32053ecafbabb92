"""Rules that cannot both be kept, found without a model.

Only what words decide: a format, a language, a count, and the same thing ordered and forbidden. English wording; a rule in another
language is compared word for word. Whatever is conditional, qualified or about different things is left alone: a missed
contradiction costs a poor answer, a false alarm costs the trust in every other finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple


class Rule(NamedTuple):
    """One sentence of a prompt and the path of the field it stands in."""

    where: str
    text: str


class Clash(NamedTuple):
    """Two rules that contradict each other, or say the same twice."""

    first: Rule
    second: Rule
    what: str


def rules_of(where: str, text: str) -> list[Rule]:
    """The sentences of a field."""
    return [Rule(where, sentence) for part in _SENTENCE_END.split(text) if (sentence := part.strip(" \t-*•.;!"))]


def contradictions(rules: Sequence[Rule], output_kind: str) -> Iterator[Clash]:
    """Every pair of `rules` that cannot both be kept.

    :param output_kind: What the OUTPUT section asks for: `json`, `markdown`, `text`, or empty when it is described in words.
    """
    yield from _format_clashes(rules, output_kind)
    yield from _language_clashes(rules)
    yield from _count_clashes(rules)
    for said in _by_order(rules):
        first, forbids = said[0]
        for second in (rule for rule, also in said if also != forbids):
            yield Clash(first, second, "one forbids what the other orders")


def duplicates(rules: Sequence[Rule]) -> Iterator[Clash]:
    """Every one of `rules` that says in almost the same words what one before it said."""
    for said in _by_order(rules):
        for forbids in (False, True):
            same = [rule for rule, also in said if also == forbids]
            for second in same[1:]:
                yield Clash(same[0], second, "both say the same")


def _by_order(rules: Sequence[Rule]) -> list[list[tuple[Rule, bool]]]:
    """The rules that order or forbid the same thing, together, each with whether it forbids."""
    groups: dict[tuple[str, ...], list[tuple[Rule, bool]]] = {}
    for rule in rules:
        forbids, order = _order(rule.text)
        if order:
            groups.setdefault(order, []).append((rule, forbids))
    return list(groups.values())


_SENTENCE_END = re.compile(r"(?<=[.;!?])\s+|\n+")
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|unless|except|until|while|otherwise|depending|same|where)\b", re.IGNORECASE
)


def _plain(text: str) -> str:
    """A sentence in lower case, without its end mark, with single blanks."""
    return " ".join(text.lower().strip(" .;!").split())


# Formats ---------------------------------------------------------------------------------------------------------------------

_FORMAT = r"(json|markdown|xml|yaml|csv|html|plain text)"
_ANSWER_WORDS = (
    r"(?: (?:the|your|all|every|final|entire|whole|only|always|strictly|answers?|responses?|repl(?:y|ies)|output|results?"
    r"|text|everything|it|back|to|user|users|me|questions?))*"
)
"""What may stand between a verb of answering and `in`: the whole answer is meant, not a part of it."""
_ASKED = re.compile(
    r"^(?:you must |please |always |only )*(?:respond|answer|reply|return|output|write|use|produce|format|emit|give|provide)\b"
    rf"{_ANSWER_WORDS}(?: (?:in|as|with|using))?(?: (?:only|a|an|valid|raw|strict|pure|well-formed))* "
    + _FORMAT
    + r"(?: (?:only|format|object|array|output|exclusively)\b| (?:with|that|containing|matching)\b.*)*$"
)
_ONLY = re.compile(rf"^(?:valid )?{_FORMAT} only$|^only (?:valid )?{_FORMAT}$")
_REFUSED = re.compile(
    r"^(?:you must |please )*(?:no|not|never|avoid|do not|don't|without)\b(?: [a-z]+){0,3}? "
    + _FORMAT
    + r"(?: (?:format|formatting|output|syntax))?$"
)
_CLAUSE_END = re.compile(r" ?(?:[,:()–—]|\bbut\b|\band\b) ?")


def _format_clashes(rules: Sequence[Rule], output_kind: str) -> Iterator[Clash]:
    told = "plain text" if output_kind == "text" else output_kind
    output = [(Rule("output_format", told), [told])] if told else []
    asked: dict[tuple[str, ...], Rule] = {}
    for rule, formats in output + [(rule, _formats(rule.text, _ASKED, _ONLY)) for rule in rules]:
        if formats:
            asked.setdefault(tuple(formats), rule)
    for (ones, first), (others, second) in combinations(asked.items(), 2):
        if not set(ones) & set(others):
            yield _sorted_clash(first, second, f"they ask for {ones[0]} and for {others[0]}")
    for second in rules:
        refused = _formats(second.text, _REFUSED)
        for ones, first in asked.items() if refused else ():
            if set(ones) <= set(refused):
                yield _sorted_clash(first, second, f"one asks for {ones[0]}, the other forbids it")


def _sorted_clash(one: Rule, other: Rule, what: str) -> Clash:
    first, second = sorted((one, other))
    return Clash(first, second, what)


def _formats(text: str, *patterns: re.Pattern[str]) -> list[str]:
    """The formats a sentence asks for (or refuses), clause by clause; none when it is conditional."""
    if _CONDITION.search(text):
        return []
    clauses = _CLAUSE_END.split(_plain(text))
    matches = (pattern.match(clause) for clause in clauses for pattern in patterns)
    return [name for match in matches if match for name in match.groups() if name]


# Languages -------------------------------------------------------------------------------------------------------------------

_LANGUAGE_NAMES = (
    "arabic bengali bulgarian chinese croatian czech danish dutch english estonian finnish french german greek hebrew hindi "
    "hungarian indonesian italian japanese korean latin lithuanian norwegian persian polish portuguese romanian russian serbian "
    "slovak spanish swahili swedish tamil thai turkish ukrainian urdu vietnamese"
)
_LANGUAGE = re.compile(rf"\b({_LANGUAGE_NAMES.replace(' ', '|')})\b")
_ANSWER_IN = re.compile(
    rf"^(?:you must |please |always |only )*(?:respond|answer|reply|write|speak|communicate)\b{_ANSWER_WORDS} in (?:\w+ )?"
    rf"(?:{_LANGUAGE_NAMES.replace(' ', '|')})(?: only| exclusively)?$"
)


def _language_clashes(rules: Sequence[Rule]) -> Iterator[Clash]:
    first: dict[str, Rule] = {}
    for rule in rules:
        for language in _languages(rule.text):
            first.setdefault(language, rule)
    for (one, asks), (other, also_asks) in combinations(first.items(), 2):
        yield Clash(asks, also_asks, f"answers in {one.title()} and in {other.title()}")


def _languages(text: str) -> list[str]:
    """The one language a sentence wants answers in, if it is exactly one and unconditionally."""
    plain = _plain(text)
    names = _LANGUAGE.findall(plain)
    return names if len(names) == 1 and _ANSWER_IN.match(plain) else []


# Counts ----------------------------------------------------------------------------------------------------------------------

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMBER = rf"(\d[\d,]{{0,11}}|{'|'.join(_WORDS)})"
_BOUND = re.compile(
    r"\b(?:(?P<most>at most|no more than|not more than|a maximum of|maximum of|maximum|max\.?|up to|not exceed|limited to|within)"
    r"|(?P<below>fewer than|less than|under|below)"
    r"|(?P<least>at least|no fewer than|no less than|not less than|not fewer than|a minimum of|minimum of|minimum|min\.?)"
    r"|(?P<above>more than|over|above)|(?P<exact>exactly|precisely)|(?P<range>between)) "
    rf"(?P<number>{_NUMBER})(?: (?:and|to) (?P<high>{_NUMBER}))?(?P<unit>(?: [a-z-]+){{1,3}})"
    rf"|\b(?P<from>{_NUMBER})(?:-|–| to )(?P<to>{_NUMBER})(?P<units>(?: [a-z-]+){{1,3}})"
)
_UNITS = frozenset(
    {
        "word",
        "sentence",
        "paragraph",
        "bullet",
        "item",
        "line",
        "character",
        "token",
        "page",
        "step",
        "section",
        "example",
    }
    | {
        "question",
        "option",
        "suggestion",
        "idea",
        "result",
        "source",
        "citation",
        "reference",
        "row",
        "column",
        "keyword",
    }
)
_NEGATION = re.compile(r"\b(?:not|never|don't|no|avoid|without|cannot|can't)\b")
# Words that do not say what is counted; "per" does, so it is not among them.
_FILLER = frozenset(
    """a an the your you must should shall will may be is are it its please always in of with use using write give list include
    provide answer answers response responses reply respond output text keep limit contain contains have has produce return
    only do not never don't avoid no exceed long length total and""".split()  # noqa: SIM905 - a list of words reads best
)


class _Count(NamedTuple):
    unit: str
    topic: frozenset[str]
    low: float
    high: float


def _count_clashes(rules: Sequence[Rule]) -> Iterator[Clash]:
    groups: dict[tuple[str, frozenset[str]], list[tuple[Rule, _Count]]] = {}
    for rule in rules:
        for count in _counts(rule.text):
            groups.setdefault((count.unit, count.topic), []).append((rule, count))
    for (unit, _), group in groups.items():
        least, low = max(group, key=lambda item: item[1].low)
        most, high = min(group, key=lambda item: item[1].high)
        if low.low > high.high:
            first, second = sorted((least, most), key=[rule for rule, _ in group].index)
            yield Clash(first, second, f"no number of {unit}s satisfies both")


def _counts(text: str) -> Iterator[_Count]:
    plain = _plain(text)
    negation = _NEGATION.search(plain)
    negated_from = negation.end() if negation else len(plain)
    topic = frozenset(_stem(word) for word in re.findall(r"[a-z'-]+", _BOUND.sub(" ", plain)) if word not in _FILLER)
    for match in _BOUND.finditer(plain):
        unit, rest = _unit(match["unit"] or match["units"])
        low, high = _bounds(match, negated=match.start() >= negated_from)
        if unit and low is not None and high is not None:
            yield _Count(unit, topic | rest, low, high)


def _bounds(match: re.Match[str], *, negated: bool) -> tuple[float | None, float | None]:
    """The least and the greatest number allowed; `None` where a negation leaves it open."""
    if match["from"]:
        return _value(match["from"]), _value(match["to"])
    number, endless = _value(match["number"]), float("inf")
    if match["range"] or match["high"]:
        return (number, _value(match["high"])) if match["range"] and match["high"] else (None, None)
    if negated:
        # "do not use more than 3" is a limit; other negations ("do not stop at exactly 3") say too little
        return (0, number) if match["above"] else (number, endless) if match["below"] else (None, None)
    ranges = {
        "most": (0, number),
        "below": (0, number - 1),
        "least": (number, endless),
        "above": (number + 1, endless),
        "exact": (number, number),
    }
    return next(ranges[kind] for kind in ranges if match[kind])


def _unit(words: str) -> tuple[str, frozenset[str]]:
    """What is counted, and the words around it that say which: `short sentences per` → `sentence`, {`short`, `per`}."""
    stems = [word.removesuffix("s") for word in words.split()]
    if stems[0] in _FILLER | {"or", "to"}:
        return "", frozenset()
    place = next((index for index, stem in enumerate(stems) if stem in _UNITS), 0)
    others = words.split()
    rest = [word for word in (*others[:place], *others[place + 1 :]) if word not in _FILLER and word != "points"]
    return stems[place], frozenset(map(_stem, rest))


def _value(number: str) -> int:
    return _WORDS.index(number) if number in _WORDS else int(number.replace(",", ""))


# Orders ----------------------------------------------------------------------------------------------------------------------

# Words an order may begin with before it says what it is about.
_LEADING = frozenset({"you", "must", "should", "shall", "will", "please", "always", "do", "be"}) | frozenset(
    {"sure", "to", "make", "use", "using", "include", "including"}
)
_NEGATIVE = frozenset(
    {"never", "not", "no", "don't", "dont", "avoid", "mustn't", "shouldn't", "cannot", "can't", "without"}
)
_ARTICLES = frozenset({"a", "an", "the", "any", "your", "ever"})


def _order(text: str) -> tuple[bool, tuple[str, ...]]:
    """Whether a sentence forbids, and what: `Never cite any sources` → (True, (cit, sourc))."""
    words = re.findall(r"[\w'#+.%-]*[\w'#+%]", text.lower().replace("’", "'"))
    forbids, start = False, 0
    while start < len(words) and words[start] in _LEADING | _NEGATIVE:
        forbids ^= words[start] in _NEGATIVE
        start += 1
    return forbids, tuple(_stem(word) for word in words[start:] if word not in _ARTICLES)


def _stem(word: str) -> str:
    """Enough of a stem to see `cite`, `cites`, `citing` and `cited` as one."""
    return re.sub(r"(?:es|s|e)$", "", re.sub(r"(?:ing|ed)$", "", word)) if len(word) > 3 and word.isascii() else word
