"""Cleaning text before it is indexed."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable

_ELEMENTS = (
    "a abbr acronym address area article aside audio b base bdi bdo big blink blockquote body br button canvas caption center cite code col "
    "colgroup data datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure font footer form frame frameset "
    "h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend li link main map mark marquee menu meta meter nav "
    "nobr noscript object ol optgroup option output p param picture pre progress q rp rt ruby s samp script search section select slot small "
    "source span strike strong style sub summary sup table tbody td template textarea tfoot th thead time title tr track tt u ul var video wbr"
)
_INLINE = "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr q s samp small span strike strong sub sup time tt u var wbr"
_BOOLEANS = (
    "allowfullscreen async autofocus autoplay checked controls default defer disabled hidden inert loop multiple muted noshade novalidate "
    "nowrap open readonly required reversed selected"
)
# A tag as HTML means it: a known element, and attributes with a value or from the known few without. `x <y and z> w` is none.
_TAG = re.compile(
    rf"""</?({_ELEMENTS.replace(" ", "|")})(?![\w:-])"""
    r"""(?:\s++[a-z_:@][\w:.@-]*+\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>`]++)|\s++(?:%s)(?![\w:.=-]))*+\s*+/?>"""
    % _BOOLEANS.replace(" ", "|"),
    re.IGNORECASE,
)
_DECLARATION = re.compile(r"<(?:!doctype\s|\?xml\s)[^<>]*+>|<!\[CDATA\[|\]\]>", re.IGNORECASE)
_WITHIN_LINE = frozenset(_INLINE.split())
# What breaks a line becomes a line end; the other control characters, byte order marks, soft hyphens and what is no character go.
_CONTROLS: dict[int, str | None] = {
    **dict.fromkeys([*range(32), *range(127, 160), 0xAD, 0xFEFF, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)]),
    **dict.fromkeys([0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029], "\n"),
    **{ord(kept): kept for kept in "\t\n"},
}
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*+\n){2,}")


class BaseProcessor(ABC):
    """One step of cleaning."""

    @abstractmethod
    def process(self, text: str) -> str:
        """The text, cleaned."""


class TextCleaner(BaseProcessor):
    """The usual cleaning; every step can be switched off. White space at both ends always goes. Linear in the length of the text.

    :param normalize_unicode: Compose letters and their accents (Unicode NFC).
    :param strip_html: Remove HTML tags and comments; a comparison such as `a < b` stays.
    :param strip_control_chars: Remove control characters, soft hyphens and byte order marks; every kind of line end becomes `\\n`.
    :param collapse_whitespace: Make one space of a run of spaces and tabs.
    :param collapse_blank_lines: Leave at most one blank line between two lines.
    """

    def __init__(
        self,
        normalize_unicode: bool = True,
        strip_html: bool = True,
        strip_control_chars: bool = True,
        collapse_whitespace: bool = True,
        collapse_blank_lines: bool = True,
    ) -> None:
        self.normalize_unicode = normalize_unicode
        self.strip_html = strip_html
        self.strip_control_chars = strip_control_chars
        self.collapse_whitespace = collapse_whitespace
        self.collapse_blank_lines = collapse_blank_lines

    def process(self, text: str) -> str:
        """The text, cleaned."""
        if self.strip_control_chars:  # first: what they split may be an accented letter or a tag
            text = text.replace("\r\n", "\n").translate(_CONTROLS)
        if self.normalize_unicode:
            text = unicodedata.normalize("NFC", text)
        if self.strip_html:
            text = _without_html(text)
        if self.collapse_whitespace:
            text = _SPACES.sub(" ", text)
        if self.collapse_blank_lines:
            text = _BLANK_LINES.sub("\n\n", text)
        return text.strip()


class ProcessingPipeline(BaseProcessor):
    """Several processors, one after the other.

    :param processors: In the order they are to run.
    """

    def __init__(self, processors: Iterable[BaseProcessor]) -> None:
        self.processors = list(processors)

    def process(self, text: str) -> str:
        """The text after every processor."""
        for processor in self.processors:
            text = processor.process(text)
        return text


def _without_html(text: str) -> str:
    """The text without tags; a block's tag leaves a line end, so that words do not run together."""
    if "<" not in text:
        return text
    kept = []
    position = 0
    # Not a regular expression: many openings without an end would make one quadratic.
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[position:start])
        position = end + 3
    text = _DECLARATION.sub("", "".join((*kept, text[position:])))
    return _TAG.sub(lambda tag: "" if tag[1].lower() in _WITHIN_LINE else "\n", text)
