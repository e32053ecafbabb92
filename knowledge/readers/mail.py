"""E-mail (RFC 5322 with MIME): who, when, what about, the text, and what is attached."""

from __future__ import annotations

import email.policy
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from ..decoding import decode, refuse_binary
from ..documents import Document, DocumentBuilder
from ..errors import ReadError, UnsupportedError
from ..markup import declared_encoding, write_markup
from . import BaseReader

_HEADERS = {"From": "from", "To": "to", "Cc": "cc", "Date": "date"}
_SEVEN_BITS = ("iso-2022-", "hz", "utf-7")
"""Encodings whose bytes are valid ASCII: nothing but the name tells that they are not."""
_MOST_ATTACHED_BYTES = 2**20
"""Text that is attached is read when it is no longer than this."""
_MOST_PARTS = 1000
_DEEPEST = 50
"""Parts of parts and messages in messages; honest ones stop at five."""


class EmailReader(BaseReader):
    """Reads a saved message (.eml); its subject is the title."""

    isolated = True

    @property
    def supported_extensions(self) -> frozenset[str]:
        """`.eml`."""
        return frozenset({".eml"})

    def read(self, path: Path) -> Document:
        """Subject, people, date and text, the plain text rather than the HTML one; attached text and messages follow, other attachments are listed."""
        with path.open("rb") as file:
            message = email.message_from_binary_file(file, policy=email.policy.default)
        if not any(message.get(name) for name in ("From", "To", "Subject", "Date", "Received")):
            raise ReadError(f"{path.name} is no e-mail: it has no sender, date or subject.", "Save the message again.")
        writer = _Writer()
        writer.message(message, 0)
        metadata = {name: text for header, name in _HEADERS.items() if (text := _header(message, header))}
        if title := _header(message, "Subject"):
            metadata["title"] = title
        builder = writer.builder
        return Document(
            builder.content, str(path), dict(metadata), "message/rfc822", [], builder.headings, writer.notes
        )


class _Writer:
    """Writes messages, parts before what is attached to them."""

    def __init__(self) -> None:
        self.builder = DocumentBuilder()
        self.notes: list[str] = []
        self._parts = 0

    def message(self, message: Message, depth: int) -> None:
        """Append a message; one that is attached stands a level deeper."""
        title = _header(message, "Subject")
        if title:
            self.builder.add_heading(depth + 1, title)
        lines = [f"{header}: {text}" for header in _HEADERS if (text := _header(message, header))]
        if lines:
            self.builder.add("\n".join(lines))
        attached: list[Message] = []
        for part in _shown(message, attached, depth):
            self._part(part)
        for part in attached:
            self._attachment(part, depth)

    def _part(self, part: Message) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise ReadError(f"The message has more than {_MOST_PARTS} parts.", "Save its attachments as files instead.")
        data = part.get_payload(decode=True)
        if not isinstance(data, bytes):
            return
        charset = _charset(part, data)
        seven_bits = charset is not None and charset.startswith(_SEVEN_BITS)
        text = data.decode(charset, "replace") if charset and seven_bits else decode(data, charset)[0]
        if part.get_content_subtype() == "html":
            write_markup(text, self.builder)
        elif text.strip():
            self.builder.add(text.strip())

    def _attachment(self, part: Message, depth: int) -> None:
        payload = part.get_payload()
        name = " ".join((part.get_filename() or "").split()) or part.get_content_type()
        if part.get_content_type() == "message/rfc822" and isinstance(payload, list) and depth < _DEEPEST:
            self.builder.add(f"Attached message: {name}")
            for each in payload:
                if isinstance(each, Message):
                    self.message(each, depth + 1)
            return
        self.builder.add(f"Attached: {name}")
        data = part.get_payload(decode=True)
        if part.get_content_maintype() != "text" or not isinstance(data, bytes):
            return
        if len(data) > _MOST_ATTACHED_BYTES:
            self.notes.append(f"The attachment {name} was not read: it has {len(data):,} bytes.")
            return
        try:
            refuse_binary(data, name)
        except UnsupportedError:
            return
        self._part(part)


def _shown(message: Message, attached: list[Message], depth: int) -> Iterator[Message]:
    """The parts a mail program shows, in order; the others are added to `attached`."""
    waiting = [(message, depth)]
    while waiting:
        part, deep = waiting.pop()
        if deep > _DEEPEST:
            raise ReadError("The message has parts within parts without end.", "It is damaged, or made to do harm.")
        payload = part.get_payload()
        if part.is_multipart() and isinstance(payload, list) and part.get_content_maintype() == "multipart":
            parts = [each for each in payload if isinstance(each, Message)]
            if part.get_content_subtype() == "alternative":
                parts = _best(parts)
            waiting += [(each, deep + 1) for each in reversed(parts)]
        elif part.get_content_disposition() != "attachment" and part.get_content_type() in {"text/plain", "text/html"}:
            yield part
        elif part.get_content_maintype() != "image" or part.get_content_disposition() == "attachment":
            attached.append(part)  # other pictures belong to the text


def _best(parts: list[Message]) -> list[Message]:
    """The one of several forms of the same that is read: plain text with words in it, else the last, which is the richest."""
    for part in parts:
        data = part.get_payload(decode=True)
        if part.get_content_type() == "text/plain" and isinstance(data, bytes) and data.strip():
            return [part]
    return parts[-1:]


def _header(message: Message, name: str) -> str:
    """A header without folding and encoding; empty when it is missing or cannot be parsed."""
    try:
        value = message.get(name)
    except (ValueError, IndexError, AttributeError, TypeError):  # the parser of the standard library trips over some
        return ""
    return " ".join(str(value).split()) if value else ""


def _charset(part: Message, data: bytes) -> str | None:
    """The encoding the part names, or its HTML does."""
    named = part.get_content_charset()
    try:
        if named:
            b"a".decode(named)
    except (LookupError, UnicodeError):
        named = None
    return named or declared_encoding(data)
