"""Where sentences end, by rules and without a model: in any language, in time linear in the length of the text.

A full stop ends a sentence when white space follows, the next word does not go on in lower case, and what stands before it is no
abbreviation, initial or ordinal. After those that may also end one (`etc.`, `U.S.`) a sentence ends before a word such as `The`.
`。`, `।` and their like end one wherever they stand. So do a blank line, a Markdown heading and the beginning of a list item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from .cutting import Span, cut, trimmed
from .errors import unknown_name
from .stopwords import STOP_WORDS

LONGEST = 1000
"""Characters: what is longer and has no end (a table, Thai without spaces) is cut at the best place there is."""

LANGUAGES = {
    "arabic": "ar", "chinese": "zh", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en", "finnish": "fi", "french": "fr",
    "german": "de", "greek": "el", "hindi": "hi", "hungarian": "hu", "indonesian": "id", "italian": "it", "japanese": "ja", "korean": "ko",
    "norwegian": "no", "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "spanish": "es", "swedish": "sv",
    "thai": "th", "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip
"""Names of languages; their codes (ISO 639-1) do as well."""

_ORDINALS = frozenset({"cs", "da", "de", "fi", "hu", "no", "pl"})
"""Languages that write a full stop after an ordinal number: `am 3. Oktober`."""

# Without their last full stop. Before these no sentence ends:
_LEADING = {
    "": "dr prof mr mrs ms st fig figs vol vols ed eds no nos nr pp cf vs ca approx resp art sec ch eq eqs ref refs gen col sgt capt lt rev hon gov sen rep pres messrs mt",
    "en": "e.g i.e viz dept univ assn bros adm cmdr maj supt",
    "de": "z.b d.h u.a v.a bzw bspw vgl ggf evtl sog inkl exkl zzgl geb gest abs abb bd hrsg hr fr frl str tel z.t o.ä i.d.r s.o s.u u.u z.zt ing dipl mio mrd min std mind max ungef allg insb insbes einschl",
    "fr": "m mm mme mmes mlle mlles me p.ex c.-à-d av chap éd env hab tél vol",
    "es": "sr sra dr dra sres srta ud uds vd p.ej pág págs núm cap av avda d.ª dña lic ing arq fdo",
    "it": "sig sigg sig.ra sig.na dott dott.ssa avv ing geom rag p.es es pag pagg cap fig tab on egr spett",
    "pt": "sr sra srs exmo exma p.ex pág págs núm cap av eng dra profa lda",
    "nl": "bijv dhr mevr mw drs ir mr ing o.a d.w.z m.b.t i.v.m t.a.v t/m nl z.g zgn blz",
    "ru": "г гг ул д стр рис табл тов им проф акад ср см т.е т.к н.э обл",
    "pl": "np tzn tj ul al al.ur mgr inż hab pt św ok godz woj red",
    "cs": "např tj tzv mgr ing bc doc mudr judr phdr ul čís str",
    "sv": "t.ex bl.a d.v.s s.k dvs ca kl",
    "da": "f.eks bl.a dvs ca kl",
    "no": "f.eks bl.a dvs ca kl",
    "tr": "sn doç yrd av alb örn bkz",
    "uk": "р рр вул буд ст рис табл проф ім див",
}  # fmt: skip
# After these one may end:
_TRAILING = (
    "etc al inc ltd co corp jr sr bros a.m p.m u.s u.k u.n e.u d.c ph.d b.a m.a b.c a.d jan feb mar apr jun jul aug sep sept oct nov dec "
    "mon tue wed thu fri sat sun usw usf etw ecc s.a s.l cía et.al enz т.д т.п др руб тыс млн млрд м.н itd itp atd apod osv m.fl vb и.о"
)

_CLOSERS = "\"'”’»›)\\]}*_"
# What may end a sentence. Runs are matched whole and from their beginning only, so that long ones cost no more than their length.
_ENDS = re.compile(
    rf"(?<![.!?…؟۔։])[.!?…؟۔։]++[{_CLOSERS}]*+(?:[ \u00a0\u202f]»(?=\s|\Z))?(?=\s|\Z)"
    r"|(?<![。！？｡।॥።။])[。！？｡।॥።။]++[」』”’）】》〉］｝\"')]*+"
    r"|\n(?:[^\S\n]*+\n|(?=[^\S\n]*+(?:[-*+•‣|>][^\S\n]|\d{1,3}[.)][^\S\n])|#{1,6}[^\S\n]))"
    r"|(?<![^\n])#{1,6}[^\S\n][^\n]*+"  # a heading
)
_NEXT = re.compile(r"\s*+[\"'“‘„‚«‹(\[{¿¡*_–—-]*+\s?(\w?)(\w*+)(\.?)")
_BEFORE = re.compile(r"[^\s\"'“‘„«(\[{–—]+\Z")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_LOOK_BACK = 16  # characters: no abbreviation is longer


def sentence_spans(text: str, start: int = 0, stop: int | None = None, language: str = "english") -> Iterator[Span]:
    """Where the sentences of `text[start:stop]` are, without white space at their ends; none is blank or longer than `LONGEST`.

    :param language: Its name in English or its ISO 639-1 code: which abbreviations and ordinals there are.
    :raises UnknownNameError: there are no rules for it.
    """
    rules = _rules(language_code(language))
    stop = len(text) if stop is None else stop
    for end in (*_ends(text, start, stop, rules), stop):
        first, last = trimmed(text, start, end)
        if last - first > LONGEST:
            yield from cut(text, first, last, LONGEST)
        elif last > first:
            yield first, last
        start = end


def language_code(language: str) -> str:
    """The ISO 639-1 code of a language named in English or by its code.

    :raises UnknownNameError: it is not in `LANGUAGES`.
    """
    name = language.strip().casefold()
    if name in LANGUAGES.values():
        return name
    if name not in LANGUAGES:
        raise unknown_name("language", language, LANGUAGES)
    return LANGUAGES[name]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What full stops mean in a language.

    :param leading: Abbreviations, without their last full stop, that never end a sentence.
    :param trailing: Those that may end one.
    :param starters: Words that begin a sentence rather than go on after an abbreviation.
    """

    leading: frozenset[str]
    trailing: frozenset[str]
    starters: frozenset[str]
    ordinals: bool


@cache
def _rules(language: str) -> _Rules:
    leading = frozenset((*_LEADING[""].split(), *_LEADING.get(language, "").split()))
    return _Rules(leading, frozenset(_TRAILING.split()), frozenset(STOP_WORDS.get(language, ())), language in _ORDINALS)


def _ends(text: str, start: int, stop: int, rules: _Rules) -> Iterator[int]:
    begun = start
    for found in _ENDS.finditer(text, start, stop):
        mark = text[found.start()]
        if mark in ".!?…" and found.end() < stop and not _ends_here(text, begun, found, stop, rules):
            continue
        begun = found.end()
        if mark == "#":
            yield found.start()
        yield begun


def _ends_here(text: str, begun: int, found: re.Match[str], stop: int, rules: _Rules) -> bool:
    """Whether a mark that white space follows ends the sentence that has begun there."""
    following = _NEXT.match(text, found.end(), stop)
    assert following  # it matches nothing, too
    if following[1].islower():
        return False
    if found[0] != ".":
        return True
    before = _BEFORE.search(text[max(begun, found.start() - _LOOK_BACK) : found.start()])
    word = before[0].casefold() if before else ""
    if not word or word in rules.leading:
        return False
    if word.isdigit():
        number = found.start() - len(word)
        if number - begun < _LOOK_BACK and not text[begun:number].strip():
            return False  # of a list item
        return not rules.ordinals or len(word) > 2 or _starts(following, rules)
    if word in rules.trailing or _INITIALS.fullmatch(word):
        return _starts(following, rules)
    return True


def _starts(following: re.Match[str], rules: _Rules) -> bool:
    """Whether what follows is a word that begins sentences, and not a name or noun."""
    return not following[3] and (following[1] + following[2]).casefold() in rules.starters
