"""Everything that can go wrong, in one tree.

    RactoError                  racto_error          base: a message, a stable code, and what to do next
    ├── InputError              invalid_input        the caller sent something that cannot be right
    │   └── UnknownNameError    unknown_name         a tool, prompt, document or setting that does not exist
    ├── ConflictError           conflict             the name is taken, or the thing changed meanwhile
    ├── AccessError             access_denied        outside the allowed roots, scope or mode
    ├── DeclinedError           declined             a person was asked and said no
    ├── LimitError              limit_reached        a time, size or count limit was hit
    │   └── TimeLimitError      time_limit           it took longer than it may
    ├── ReadError               unreadable           a document cannot be read
    │   ├── EncryptedError      encrypted            it needs a password
    │   ├── NoTextError         no_text              it holds no text (a scan, an empty file)
    │   └── UnsupportedError    unsupported          no reader for this kind of file
    ├── StorageError            storage              the database cannot be used
    │   ├── CorruptError        corrupt              the file is damaged
    │   └── DiskFullError       disk_full            no space left
    └── ConfigError             bad_config           a setting is wrong

`str(error)` is one readable message with the hint, safe to show to any client: no traceback, no secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


class RactoError(Exception):
    """The base of every error racto raises on purpose.

    :param message: What went wrong, in one sentence.
    :param hint: What the reader can do next; empty when there is nothing to do.
    """

    code: ClassVar[str] = "racto_error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-able data: `code`, `message` and `hint`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InputError(RactoError, ValueError):
    """The caller sent something that cannot be right."""

    code = "invalid_input"


class UnknownNameError(InputError, LookupError):
    """Something was named that does not exist."""

    code = "unknown_name"


class ConflictError(RactoError):
    """The name is taken, or the thing changed meanwhile."""

    code = "conflict"


class AccessError(RactoError, PermissionError):
    """Outside the allowed roots, scope or mode."""

    code = "access_denied"


class DeclinedError(RactoError):
    """A person was asked and said no."""

    code = "declined"


class LimitError(RactoError):
    """A time, size or count limit was hit."""

    code = "limit_reached"


class TimeLimitError(LimitError, TimeoutError):
    """It took longer than it may."""

    code = "time_limit"


class ReadError(RactoError):
    """A document cannot be read."""

    code = "unreadable"


class EncryptedError(ReadError):
    """The document needs a password."""

    code = "encrypted"


class NoTextError(ReadError):
    """The document holds no text."""

    code = "no_text"


class UnsupportedError(ReadError, ValueError):
    """There is no reader for this kind of file."""

    code = "unsupported"


class StorageError(RactoError):
    """The database cannot be used."""

    code = "storage"


class CorruptError(StorageError):
    """The database file is damaged."""

    code = "corrupt"


class DiskFullError(StorageError):
    """There is no space left for the database."""

    code = "disk_full"


class ConfigError(RactoError, ValueError):
    """A setting is wrong."""

    code = "bad_config"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that does not exist, with the nearest one that does.

    :param kind: What was looked for, as a word a person uses: `tool`, `collection`.
    :param name: The name that was given.
    :param known: The names that exist; at most 12 are listed.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        hint = f"Did you mean {near[0]!r}?"
    elif names:
        hint = f"Known: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}."
    else:
        hint = f"There is no {kind} yet."
    return UnknownNameError(f"There is no {kind} named {name!r}.", hint)
