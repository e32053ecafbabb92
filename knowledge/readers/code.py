"""Source code: the text as it is, with its classes and functions as headings, so that a passage is found and cited by where it stands.

Definitions are told by how their line begins, with comments and strings masked; that works for code that does not compile too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..decoding import read_text
from ..documents import Document, Heading
from . import READERS, BaseReader

_LONGEST_LINE = 500
"""Longer lines were written by a program."""
_DOUBLE = r'"(?:\\.|[^"\\\n])*+"'
_STRINGS = rf"{_DOUBLE}|'(?:\\.|[^'\\\n])*+'"
_MODIFIERS = (
    "public|private|protected|internal|fileprivate|static|final|abstract|sealed|partial|open|override|virtual|async|data|inline|"
    "export|default|declare|readonly|extern|const|unsafe|pub|pub\\(\\w+\\)|implicit|lazy|suspend|mutating|case|synchronized|native"
)
_KINDS = (
    "class|interface|enum class|enum|struct|trait|object|namespace|protocol|extension|record|union|mod|macro_rules!|"
    "function\\*|function|func|fun|fn|def|type"
)
_NO_NAMES = "if|else|for|while|switch|catch|return|do|try|with|new|throw|sizeof|using|lock|foreach|await|yield|delete|typeof|go|defer|func|function"


@dataclass(frozen=True, slots=True)
class _Language:
    """How definitions are told.

    :param masked: Comments and strings.
    :param definition: The beginning of a line that defines `name`; it may look at the rest of the line.
    :param above: What lines begin with that belong to the definition below them.
    """

    masked: re.Pattern[str]
    definition: re.Pattern[str]
    above: tuple[str, ...]


_PYTHON = _Language(
    re.compile(rf"#[^\n]*|\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|{_STRINGS}", re.DOTALL),
    re.compile(r"(?:async[ \t]+)?(?:def|class)[ \t]+(?P<name>\w+)"),
    ("@", "#"),
)
_RUBY_OR_SHELL = _Language(
    re.compile(rf"(?<!\S)#[^\n]*|{_STRINGS}"),
    re.compile(r"(?:def|class|module|function)[ \t]+(?P<name>[\w.:?!-]+)|(?P<shell>[\w:-]+)[ \t]*\(\)[ \t]*(?:\{|$)"),
    ("#",),
)
_LUA = _Language(
    re.compile(rf"--\[(?P<equals>=*+)\[[\s\S]*?\](?P=equals)\]|--[^\n]*|{_STRINGS}"),
    re.compile(r"(?:local[ \t]+)?(?:function[ \t]+(?P<name>[\w.:]+)|(?P<value>[\w.]+)[ \t]*=[ \t]*function\b)"),
    ("--",),
)
_BRACES = _Language(
    re.compile(rf"/\*[\s\S]*?(?:\*/|\Z)|//[^\n]*|`(?:\\.|[^`\\])*+`|{_STRINGS}"),
    re.compile(
        rf"(?P<modified>(?:{_MODIFIERS})[ \t]+)*(?:"
        rf"(?:{_KINDS})[ \t]+(?:\([^()]*\)[ \t]*)?(?P<name>[\w$.]+)(?![^{{]*;$)"  # before the name of a Go method is whose it is
        r"|impl\b[^{]*?(?P<impl>\w+)(?:<[^{]*>)?[ \t]*(?:where\b[^{]*)?\{"
        r"|(?:const|let|var)[ \t]+(?P<value>[\w$]+)[^=]*=[ \t]*(?:async[ \t]*)?(?:function\b|\([^()]*\)[^=]*=>|\w+[ \t]*=>)"
        rf"|(?<=[ \t])(?!(?:{_NO_NAMES})\b)(?:<[^()]*>[ \t]*)?(?:[\w.?]+(?:<[^()]*>)?[\[\]?*]*[ \t]+)?(?!(?:{_NO_NAMES})\b)"
        r"(?P<method>[\w$#]+)[ \t]*\([^;]*$(?(modified)|(?<=\{))"
        rf"|(?<![\s\S])(?!(?:{_NO_NAMES})\b)(?:[\w:<>,~]+[ \t*&]+)+(?P<plain>[~\w:]+)[ \t]*\([^;]*$)"
    ),
    ("//", "/*", "*", "@", "[", "#["),
)
_RUST = replace(  # where a quotation mark may also begin a lifetime
    _BRACES, masked=re.compile(rf"/\*[\s\S]*?(?:\*/|\Z)|//[^\n]*|'(?:\\.|[^'\\\n])'|{_DOUBLE}")
)
_LANGUAGES = {
    **dict.fromkeys((".py", ".pyi"), _PYTHON),
    **dict.fromkeys((".rb", ".sh", ".bash"), _RUBY_OR_SHELL),
    ".lua": _LUA,
    ".rs": _RUST,
}


class CodeReader(BaseReader):
    """Reads source code in the usual languages."""

    @property
    def supported_extensions(self) -> frozenset[str]:
        """Every extension the table of readers gives to this one."""
        return frozenset(extension for extension, reader in READERS.items() if reader == ".code:CodeReader")

    def read(self, path: Path) -> Document:
        """The file's text as it is."""
        text, notes = read_text(path)
        language = _LANGUAGES.get(path.suffix.lower(), _BRACES)
        return Document(text, str(path), {}, "text/plain", headings=find_definitions(text, language), notes=notes)


def find_definitions(text: str, language: _Language = _BRACES) -> list[Heading]:
    """The classes and functions, in order; what is indented deeper than another stands under it. Comments above one belong to it."""
    masked = language.masked.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    headings: list[Heading] = []
    indents: list[int] = []  # of the definitions the current line stands under
    position, above = 0, -1  # above: where the comments began that stand right above this line
    for line, plain in zip(text.split("\n"), masked.split("\n"), strict=True):
        start, position = position, position + len(line) + 1
        bare = line.lstrip()
        if bare.startswith(language.above):
            above = start if above < 0 else above
            continue
        indent = len(plain) - len(plain.lstrip())
        found = language.definition.match(plain.rstrip(), indent) if 0 < len(line) <= _LONGEST_LINE else None
        name = (
            next((each for key, each in found.groupdict().items() if each and key != "modified"), "") if found else ""
        )
        if name:
            while indents and indents[-1] >= indent:
                indents.pop()
            indents.append(indent)
            headings.append(Heading(len(indents), name, start if above < 0 else above, start + len(line)))
        above = -1
    return headings
