"""Markdown: the text as it is written, with its headings found (CommonMark 0.31: ATX and setext)."""

from __future__ import annotations

import re
from pathlib import Path

from ..decoding import read_text
from ..documents import Document, Heading
from . import BaseReader

_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NO_PARAGRAPH = re.compile(r" {0,3}(?:[-+*>|#]|\d{1,9}[.)][ \t]|<)| {4}|\t")
_MARKUP = re.compile(
    r"(?P<tick>`+)(?P<code>.+?)(?P=tick)"
    r"|!?\[(?P<link>[^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])"
    r"|[*`]+|(?<![^\W_])_++|_++(?![^\W_])|\\(?=[^\w\s])"
)
_LONGEST_TITLE = 500
_MOST_TITLE_LINES = 3  # CommonMark has no limit, but a row of dashes under a long block is a rule in plain text
_ANCHOR = re.compile(r"[ \t]*\{#[\w:.-]+\}$")


class MarkdownReader(BaseReader):
    """Reads Markdown; YAML front matter becomes metadata."""

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.md` and `.markdown`."""
        return frozenset({".md", ".markdown"})

    def read(self, path: Path) -> Document:
        """The file's text without its front matter."""
        text, notes = read_text(path)
        metadata, text = front_matter(text)
        return Document(text, str(path), dict(metadata), "text/markdown", headings=find_headings(text), notes=notes)


def front_matter(text: str) -> tuple[dict[str, str], str]:
    """The simple `key: value` lines of YAML front matter, and the text after it; nested values are left out."""
    if not text.startswith("---\n"):
        return {}, text
    end = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, 4)
    block = text[4 : end.start()] if end else ""
    if end is None or not re.match(r"\s*(?:#.*\n\s*)*[\w-]+:", block):
        return {}, text  # a thematic break, not front matter
    pairs = re.findall(r"^([\w-]+):[ \t]+(\S.*)$", block, re.MULTILINE)
    return {key: value.strip().strip("\"'") for key, value in pairs}, text[end.end() :].lstrip("\n")


def find_headings(text: str) -> list[Heading]:
    """The headings of Markdown text, in order; what only looks like one inside a code fence, list or quote is none."""
    headings: list[Heading] = []
    fence = ""
    paragraph: int | None = None  # where the paragraph above this line began
    position = 0
    for line in text.split("\n"):
        start, position = position, position + len(line) + 1
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
            continue
        if mark and not (mark[1][0] == "`" and "`" in line[mark.end() :]):
            fence, paragraph = mark[1], None
        elif atx := _ATX.match(line):
            headings.append(Heading(len(atx[1]), _title(_without_closing(line[atx.end() :])), start, start + len(line)))
            paragraph = None
        elif paragraph is not None and (under := _UNDERLINE.match(line)):
            if text.count("\n", paragraph, start) <= _MOST_TITLE_LINES:
                level = 1 if under[1][0] == "=" else 2
                headings.append(Heading(level, _title(text[paragraph:start]), paragraph, start + len(line)))
            paragraph = None
        elif not line.strip():
            paragraph = None
        elif paragraph is None:
            paragraph = None if _NO_PARAGRAPH.match(line) else start
    return [heading for heading in headings if heading.title]


def _without_closing(text: str) -> str:
    """An ATX heading without the optional `#`s at its end."""
    text = text.strip()
    bare = text.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else text


def _title(text: str) -> str:
    """A heading's words without emphasis, code marks, links and anchors."""
    text = _ANCHOR.sub("", text.strip())[:_LONGEST_TITLE]
    return " ".join(_MARKUP.sub(lambda match: match["code"] or match["link"] or "", text).split())
