"""Files sent along with a message, and the content block each provider wants them in."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""The image types every provider takes."""

UNKNOWN_TYPE = "application/octet-stream"


class RactoFile:
    """A file to attach to a message.

    :param data: The raw bytes.
    :param mime_type: What they are, e.g. `image/png`; parameters (`; charset=…`) are allowed.
    :param name: A file name for people and models to see; may be empty.
    """

    def __init__(self, data: bytes, mime_type: str, name: str = "") -> None:
        self.data = data
        self.mime_type = mime_type
        self.name = name

    @classmethod
    def from_path(cls, path: str | Path) -> RactoFile:
        """Read a file; its type is told by its name, `application/octet-stream` when that says nothing.

        :raises FileNotFoundError: there is no such file.
        """
        file = Path(path)
        # strict=False knows image/webp on Python 3.11 too; a compressed text (`.txt.gz`) is not text.
        guessed, compression = mimetypes.guess_type(file.name, strict=False)
        return cls(file.read_bytes(), UNKNOWN_TYPE if guessed is None or compression else guessed, file.name)

    @classmethod
    def from_bytes(cls, data: bytes, mime_type: str, name: str = "") -> RactoFile:
        """The file that consists of `data`; nothing is read or written."""
        return cls(data, mime_type, name)

    @property
    def media_type(self) -> str:
        """The MIME type alone: lower case, without parameters."""
        return self.mime_type.partition(";")[0].strip().lower()

    @property
    def base64_data(self) -> str:
        """The bytes as base-64 text."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def data_uri(self) -> str:
        """The bytes as a `data:` URI (RFC 2397)."""
        return f"data:{self.media_type};base64,{self.base64_data}"

    @property
    def text(self) -> str:
        """The bytes read as UTF-8; what is not UTF-8 becomes U+FFFD."""
        return self.data.decode("utf-8", errors="replace")

    @property
    def is_image(self) -> bool:
        """Whether it is a JPEG, PNG, GIF or WebP image."""
        return self.media_type in IMAGE_TYPES

    @property
    def is_pdf(self) -> bool:
        """Whether it is a PDF document."""
        return self.media_type == "application/pdf"

    @property
    def is_text(self) -> bool:
        """Whether its type is any `text/…`."""
        return self.media_type.startswith("text/")

    def __repr__(self) -> str:
        return f"RactoFile(name={self.name or '<unnamed>'!r}, mime_type={self.mime_type!r}, bytes={len(self.data)})"


def openai_block(file: RactoFile) -> dict[str, Any]:
    """`file` as a content part of OpenAI's chat completions: text, a PDF as a file, anything else as an image URL."""
    if file.is_text:
        return {"type": "text", "text": file.text}
    if file.is_pdf:
        return {"type": "file", "file": {"filename": file.name or "document.pdf", "file_data": file.data_uri}}
    return {"type": "image_url", "image_url": {"url": file.data_uri}}


def anthropic_block(file: RactoFile) -> dict[str, Any]:
    """`file` as a content block of Anthropic's messages; a type the API has no block for becomes labelled base-64 text."""
    if file.is_text:
        return {"type": "text", "text": file.text}
    if file.is_image or file.is_pdf:
        source = {"type": "base64", "media_type": file.media_type, "data": file.base64_data}
        return {"type": "image" if file.is_image else "document", "source": source}
    label = f"[File: {file.name or 'attachment'} ({file.mime_type}) — base64 encoded]"
    return {"type": "text", "text": f"{label}\n{file.base64_data}"}


def google_block(file: RactoFile) -> dict[str, Any]:
    """`file` as a part of Gemini's contents: text, or inline data."""
    if file.is_text:
        return {"text": file.text}
    return {"inline_data": {"mime_type": file.media_type, "data": file.base64_data}}


def ollama_message(user_message: str, files: Sequence[RactoFile]) -> dict[str, Any]:
    """The user message of Ollama's chat: images as raw base-64 beside the text, text files before it.

    :raises InputError: a file is neither; Ollama has no place for it, and leaving it out silently would mislead.
    """
    for file in files:
        if not (file.is_image or file.is_text):
            raise InputError(
                f"Ollama takes images and text, not {file.name or 'a file'} ({file.mime_type}).",
                "Attach its text instead, or use a provider that reads such files.",
            )
    content = "\n\n".join([*(file.text for file in files if file.is_text), user_message])
    message: dict[str, Any] = {"role": "user", "content": content}
    if images := [file.base64_data for file in files if file.is_image]:
        message["images"] = images
    return message
