"""Keep what is written inside a RACTO section from looking like the start of another one.

A line that a reader could take for a section heading gets a backslash before its bracket: `[ROLE]` becomes `\\[ROLE]`, `\\[ROLE]`
becomes `\\\\[ROLE]`. One backslash taken away gives the value back, so nothing is lost and a person still sees what was meant.
Reader here means a model: lower case, indentation, Markdown marks, invisible characters, other kinds of line break, other
brackets, accents and the common Cyrillic, Greek and small-capital look-alikes fool nobody.
"""

from __future__ import annotations

import re
import unicodedata

SECTIONS = ("ROLE", "AIM", "CONTEXT", "CONSTRAINTS", "TONE", "OUTPUT", "EXAMPLES", "GUARDRAILS")
"""The headings of a compiled prompt, in the order they come."""

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Every character `str.splitlines` ends a line at."""

_OPEN = r"\[［﹇⁅【〔〖❲⟦"
_CLOSE = r"\]］﹈⁆】〕〗❳⟧"
_OPENING = f"[{_OPEN}]"
# Compiled when the first bracket is met: who only imports this need not wait for it.
_HEADING = (
    rf"(?:\A|(?<=[{LINE_BREAKS}]))"  # at the start of a line,
    rf"((?:[^\w\\{LINE_BREAKS}{_OPEN}]|_)*)"  # after nothing but blanks, marks and invisible characters,
    rf"(\\*)([{_OPEN}])([^{LINE_BREAKS}{_CLOSE}]+)(?=[{_CLOSE}])"  # a name in brackets, perhaps escaped already
)
_EXAMPLE_LABEL = rf"(?i)(?<=[{LINE_BREAKS}])((?:[^\w\\{LINE_BREAKS}]|_)*)(\\*)(?=(?:example\s+\d+|input|output)\s*:)"
_BREAK = rf"\r\n|[{LINE_BREAKS}]"
_LOOK_ALIKES = str.maketrans("аеіморстхѕԁαειμνορτχıᴀᴄᴅᴇɢɪʟᴍɴᴏᴘʀꜱᴛᴜ", "aeimopctxsdaeimnoptxiacdegilmnoprstu")
_NAMES = frozenset(name.lower() for name in SECTIONS)


def neutralise(value: str) -> str:
    """`value` with every line that could pass for a section heading escaped."""
    if "[" not in value and (value.isascii() or not re.search(_OPENING, value)):
        return value
    if value.isprintable() and not re.match(_HEADING, value):
        return value  # one line, and not at its start: the usual case, and cheap
    return re.sub(_HEADING, _escape_heading, value)


def neutralise_example(value: str) -> str:
    """Like `neutralise`, and no later line of `value` can pass for the next `Example 2:`, `Input:` or `Output:` either."""
    escaped = neutralise(value)
    return escaped if escaped.isprintable() else re.sub(_EXAMPLE_LABEL, r"\1\\\2", escaped)


def list_item(value: str) -> str:
    """`value` as one `- ` item: its later lines are indented, so that none can pass for another item."""
    escaped = neutralise(value)
    return "- " + (escaped if escaped.isprintable() else re.sub(_BREAK, r"\g<0>  ", escaped))


def _escape_heading(match: re.Match[str]) -> str:
    lead, backslashes, bracket, name = match.groups()
    return f"{lead}\\{backslashes}{bracket}{name}" if _letters(name) in _NAMES else match[0]


def _letters(text: str) -> str:
    """The plain Latin letters a reader sees in `text`."""
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_LOOK_ALIKES)
    return "".join(letter for letter in folded if "a" <= letter <= "z")
