"""What all forms share: files in base-64, and records that are what they should be."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from typing import Any

from ....knowledge.errors import InputError
from ....knowledge.files import RactoFile
from ..messages import RactoTrainingMessage, Role

_DATA_URI = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)


def wrong(what: str) -> InputError:
    """A record that cannot be kept whole is refused: to leave something out would train another model."""
    return InputError(f"This record cannot be read: {what}.", "Name the format it was written in, or correct the line.")


def known(record: Mapping[str, Any], names: Collection[str], what: str) -> None:
    """
    :raises InputError: something in the record would be lost.
    """
    if unknown := sorted(set(record) - set(names)):
        raise wrong(f"{what} has {', '.join(map(repr, unknown))}")


def from_base64(mime_type: str, data: str, name: str = "") -> RactoFile:
    """A file out of its base-64 text."""
    try:
        return RactoFile(base64.b64decode(data, validate=True), mime_type, name)
    except (binascii.Error, ValueError, TypeError):
        raise wrong("a file is not base-64") from None


def from_data_uri(uri: str, name: str = "") -> RactoFile:
    """A file out of its `data:` URI (RFC 2397)."""
    if not (found := _DATA_URI.fullmatch(uri)):
        raise wrong(f"the file {uri[:60]!r} is elsewhere, not in the record")
    return from_base64(found[1], found[2], name)


def user_turn(pieces: list[str | RactoFile]) -> RactoTrainingMessage:
    """A user's turn out of texts and files: the last piece is what is said, texts before it are attached."""
    if not pieces or not isinstance(pieces[-1], str):
        pieces = [*pieces, ""]
    files = [RactoFile(each.encode(), "text/plain") if isinstance(each, str) else each for each in pieces[:-1]]
    return RactoTrainingMessage("user", str(pieces[-1]), files)


def role_of(name: object, others: Mapping[str, Role] | None = None) -> Role:
    """The role a record means."""
    roles: Mapping[str, Role] = others or {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
    if not isinstance(name, str) or name not in roles:
        raise wrong(f"{name!r} is no role")
    return roles[name]
