"""HTML as a person sees it: blocks become paragraphs, rows lines, headings headings; scripts, styles and what is hidden are dropped."""

from __future__ import annotations

import codecs
import re
from collections.abc import Set
from typing import TYPE_CHECKING

from .documents import DocumentBuilder
from .errors import ReadError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_NOT_TEXT = "script style noscript template svg math head iframe object canvas select datalist textarea button"
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SET_APART = (
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer form header hr html li "
    "main nav ol option p pre section summary table tbody tfoot thead tr ul"
)
_DROPPED = frozenset(_NOT_TEXT.split())
_BLOCKS = frozenset(_SET_APART.split())
_LINES = frozenset(["li", "tr", "dt", "dd", "option"])
"""Blocks that stand on the line after the one before, not a paragraph below it."""
_CELLS = frozenset(["td", "th"])
_SOFT_IN_CELL = frozenset(["p", "div", "center", "section"])
_UNSEEN = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_SPACES = re.compile(r"\s\s+|[^\S ]")  # leaves single spaces alone: most text is not touched
_SPACES_AGAIN = re.compile("  +")  # where two pieces met
_LINE_ENDS = re.compile(" *\n *")
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})|<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""",
    re.IGNORECASE,
)
_NESTING = re.compile(
    r"<(/?)(?:address|article|aside|blockquote|center|details|dialog|dl|div|fieldset|figcaption|figure|footer|header|main|nav|ol|pre|section|summary|ul)\b",
    re.IGNORECASE,
)
_DEEPEST = 20_000
_CHARSET_WITHIN = 4096  # browsers look at the first 1,024 bytes, and some pages are later still


def write_markup(text: str, builder: DocumentBuilder) -> dict[str, str]:
    """Append the visible text of a page.

    :returns: What the page says about itself: `title`, `description`, `author`, `keywords`.
    :raises ReadError: its blocks nest deeper than any page of people.
    """
    _check_depth(text)
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    metadata = {}
    if (title := tree.css_first("head > title")) is not None and (words := " ".join(title.text().split())):
        metadata["title"] = words
    for node in tree.css("head > meta[name][content]"):
        name, value = (node.attributes.get("name") or "").lower(), node.attributes.get("content")
        if name in {"description", "author", "keywords"} and value:
            metadata[name] = " ".join(value.split())
    if tree.body is not None:
        hidden = {node.mem_id for node in tree.css("body [hidden], body [style]") if _is_hidden(node)}
        _Writer(builder, hidden).walk(tree.body)
    return metadata


def _check_depth(text: str) -> None:
    """Refuse what would take a parser minutes: for each block it looks through all that are open (WHATWG HTML 13.2.4.2)."""
    depth = 0
    for tag in _NESTING.finditer(text):
        depth = depth + 1 if not tag[1] else max(0, depth - 1)
        if depth > _DEEPEST:
            raise ReadError(
                f"The page nests more than {_DEEPEST:,} blocks.", "It is damaged, or made to do harm; save it as text."
            )


def _is_hidden(node: LexborNode) -> bool:
    """Whether an element is hidden by its own attributes; what a search in the page would bring up counts as seen."""
    attributes = node.attributes
    hidden = "hidden" in attributes and attributes["hidden"] != "until-found"
    return hidden or _UNSEEN.search(attributes.get("style") or "") is not None


class _Writer:
    """Walks a tree without recursion (pages nest deeper than Python's stack) and writes its text.

    :param hidden: `mem_id` of the elements to pass over, with all that is in them.
    """

    def __init__(self, builder: DocumentBuilder, hidden: Set[int]) -> None:
        self._hidden = hidden
        self._builder = builder
        self._inline: list[str] = []
        self._words = False  # whether `_inline` holds more than white space and marks
        self._separator = "\n\n"
        self._preformatted = 0
        self._cells = 0

    def walk(self, root: LexborNode) -> None:
        """Write everything below `root`."""
        node: LexborNode | None = root
        while node is not None:
            tag = node.tag or ""
            child = None if self._is_dropped(node) else node.child
            if tag == "-text":
                self._text(node.text_content or "")
            elif not self._is_dropped(node):
                self._open(tag)
            if child is not None:
                node = child
                continue
            while node is not None:
                if not self._is_dropped(node):
                    self._close(node.tag or "")
                if node.mem_id == root.mem_id:
                    return
                if node.next is not None:
                    node = node.next
                    break
                node = node.parent

    def _is_dropped(self, node: LexborNode) -> bool:
        return node.tag in _DROPPED or node.mem_id in self._hidden

    def _text(self, text: str) -> None:
        self._words |= not text.isspace()
        self._inline.append(text if self._preformatted else _SPACES.sub(" ", text))

    def _open(self, tag: str) -> None:
        if tag == "br":
            self._inline.append("\n")
        elif tag in _CELLS:
            if self._words:
                self._inline.append(" | ")
            self._cells += 1
        elif self._cells and tag in _SOFT_IN_CELL:
            self._inline.append(" ")
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._flush("\n" if tag in _LINES else "\n\n")
            if tag == "li":
                self._inline.append("- ")
        if tag == "pre":
            self._preformatted += 1

    def _close(self, tag: str) -> None:
        if tag in _CELLS:
            self._cells -= 1
        elif self._cells and tag in _SOFT_IN_CELL:
            self._inline.append(" ")
        elif tag in _HEADINGS:
            if self._words:
                self._builder.add_heading(_HEADINGS[tag], " ".join("".join(self._inline).split()))
                self._separator = "\n\n"
            self._inline.clear()
            self._words = False
        elif tag in _BLOCKS:
            self._flush("\n" if tag in _LINES else "\n\n")
        if tag == "pre":
            self._preformatted -= 1

    def _flush(self, separator: str) -> None:
        """Write the words since the last block, and set off the next block by `separator`."""
        if self._words:
            text = "".join(self._inline)
            if self._preformatted:
                text = text.strip("\n").rstrip()
            else:
                text = _LINE_ENDS.sub("\n", _SPACES_AGAIN.sub(" ", text)).strip()
            self._builder.add(text, self._separator)
            self._separator = separator
        elif len(separator) > len(self._separator):
            self._separator = separator
        self._inline.clear()
        self._words = False


def declared_encoding(data: bytes) -> str | None:
    """The encoding the page names in its first bytes, under the name Python knows it by."""
    match = _CHARSET.search(data[:_CHARSET_WITHIN])
    if match is None:
        return None
    label = (match[1] or match[2]).decode("ascii").lower()
    try:
        name = codecs.lookup(label).name
        b"a".decode(name)
    except (LookupError, UnicodeError):  # no such encoding, or one that is not for text (`zlib`)
        return None
    if name.startswith(("utf-16", "utf-32")):
        return None  # the label itself was read as ASCII, so it cannot be true
    # What browsers do with these labels (WHATWG Encoding).
    return {
        "iso8859-1": "cp1252",
        "ascii": "cp1252",
        "shift_jis": "cp932",
        "gb2312": "gb18030",
        "gbk": "gb18030",
        "euc_kr": "cp949",
    }.get(name, name)
