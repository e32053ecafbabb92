"""Keys and passwords: where they are looked up, how they are kept, and how they are kept out of every text.

Looked up in the environment, then in the secrets file, then in the keyring of the desktop; the first that has it wins. The file is
`racto/secrets.toml` in the configuration folder, one `NAME = "value"` a line, and is read only when nobody else can read it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote

from ..knowledge.errors import AccessError, ConfigError, InputError, unknown_name
from .settings import config_folder

Place = Literal["environment", "file", "keyring"]

KNOWN = {
    "OPENAI_API_KEY": "openai",
    "ANTHROPIC_API_KEY": "anthropic",
    "GEMINI_API_KEY": "google",
    "HF_TOKEN": "huggingface",
    "HUGGINGFACE_TOKEN": "huggingface",
    "VOYAGE_API_KEY": "voyage",
    "OPENROUTER_API_KEY": "openrouter",
    "MISTRAL_API_KEY": "mistral",
    "PINECONE_API_KEY": "pinecone",
    "QDRANT_API_KEY": "qdrant",
    "WEAVIATE_API_KEY": "weaviate",
    "MILVUS_TOKEN": "milvus",
    "REDIS_PASSWORD": "redis",
}
"""Secret → what it is for."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_SHORTEST = 6  # a shorter one would be found in innocent words
_SERVICE = "racto"
_MASK = "***"


class Keyring(Protocol):
    """What is used of the `keyring` package."""

    def get_password(self, service_name: str, username: str) -> str | None:
        """The password, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret that is known, without its value.

    :param place: Where it is found first.
    """

    name: str
    place: Place


class Secrets:
    """The secrets of one person on one machine.

    :param path: The secrets file.
    :param environ: The environment.
    :param keyring: Instead of the desktop's; `None` tries that one, when its package is installed.
    """

    def __init__(
        self, path: Path | None = None, *, environ: Mapping[str, str] | None = None, keyring: Keyring | None = None
    ) -> None:
        self.path = path or config_folder() / "racto" / "secrets.toml"
        self._environ = os.environ if environ is None else environ
        self._keyring = keyring
        self._keyring_failed = False
        self._told: set[str] = set()
        self._file_known = False

    def get(self, name: str) -> str | None:
        """The value of a secret, if anybody has it; from now on `scrub` knows it.

        :raises AccessError: others can read the secrets file.
        :raises ConfigError: the secrets file is broken.
        """
        value = self._environ.get(name) or self._read().get(name) or self._from_keyring(name)
        if value:
            self._told.add(value)
        return value or None

    def set(self, name: str, value: str) -> None:
        """Keep a secret in the file, whatever it held before.

        :raises InputError: no environment variable can have this name, or the value is empty.
        :raises AccessError: others can read the file.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no name of a secret.", "Use letters, digits and _: OPENAI_API_KEY.")
        if not value.strip():
            raise InputError(f"The value of {name} is empty.", "To forget it, delete it.")
        self._told.add(value.strip())
        self._write({**self._read(), name: value.strip()}, changed=name)

    def delete(self, name: str) -> None:
        """Forget a secret of the file.

        :raises UnknownNameError: the file does not have it; the environment and the keyring are not ours to change.
        """
        kept = self._read()
        if name not in kept:
            raise unknown_name("secret in the file", name, kept)
        self._write({key: value for key, value in kept.items() if key != name}, changed=name)

    def list(self) -> tuple[Kept, ...]:
        """The secrets that are there, by name: those of the file, and the known ones of the environment and keyring."""
        kept = self._read()
        found = []
        for name in sorted({*KNOWN, *kept}):
            if self._environ.get(name):
                found.append(Kept(name, "environment"))
            elif name in kept:
                found.append(Kept(name, "file"))
            elif self._from_keyring(name):
                found.append(Kept(name, "keyring"))
        return tuple(found)

    def scrub(self, text: str) -> str:
        """A text without any secret that is known, also where it is quoted for a URL or for JSON.

        Known are those of the environment whose name says so, those that were in the file at the first scrubbing, and all that were
        looked up or kept since.
        """
        if not self._file_known:
            self._file_known = True
            # What is wrong with the file is told to whoever asks for a secret; a text must be clean even then.
            with suppress(AccessError, ConfigError):
                self._told.update(self._read().values())
        values = {value for name, value in self._environ.items() if _SECRET_NAME.search(name)} | self._told
        forms = {form for value in values if len(value) >= _SHORTEST for form in _forms(value)}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, _MASK)
        return text

    def _read(self) -> dict[str, str]:
        text = self._text()
        if not text:
            return {}
        import tomllib

        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError:  # its message may quote the line, and with it the secret
            raise ConfigError(
                f"The secrets file {self.path} is not valid TOML.", 'A line looks like: OPENAI_API_KEY = "…"'
            ) from None
        for name, value in values.items():
            if not isinstance(value, str):
                raise ConfigError(f"In {self.path}, {name} is not a text.", f'Write it as: {name} = "…"')
        return values

    def _text(self) -> str:
        """What is in the file, "" when there is none.

        :raises AccessError: others can read it.
        """
        try:
            # The file that is checked is the one that is read, whatever happens to its name meanwhile.
            with self.path.open(encoding="utf-8-sig") as file:
                self._refuse_open_to_others(os.fstat(file.fileno()))
                return file.read()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, AccessError):
                raise
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(
                f"The secrets file {self.path} cannot be read: {reason}.", "It must be a UTF-8 text file of your own."
            ) from None

    def _refuse_open_to_others(self, about: os.stat_result) -> None:
        if sys.platform == "win32":
            return  # its profile folders are private, and its modes say nothing
        if about.st_uid != os.geteuid():
            raise AccessError(
                f"The secrets file {self.path} belongs to somebody else.", f"Run: chown $USER {self.path}"
            )
        if stat.S_IMODE(about.st_mode) & 0o177:
            raise AccessError(
                f"Others can read the secrets file {self.path} (mode {stat.S_IMODE(about.st_mode):04o}).",
                f"Run: chmod 600 {self.path}",
            )

    def _write(self, kept: dict[str, str], *, changed: str) -> None:
        """Replace the file by one that holds `kept`; comments and order of the other lines stay."""
        import tomllib

        line = re.compile(rf'\s*(?:{re.escape(changed)}|"{re.escape(changed)}"|\'{re.escape(changed)}\')\s*=')
        lines = [each for each in self._text().splitlines() if not line.match(each)]
        lines += [_line(changed, kept[changed])] if changed in kept else []
        text = "".join(f"{each}\n" for each in lines)
        try:
            same = tomllib.loads(text) == kept
        except tomllib.TOMLDecodeError:
            same = False
        if not same:  # a value of several lines
            text = "".join(f"{_line(name, value)}\n" for name, value in kept.items())
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it 0600 from its first moment; the rename is all or nothing.
        number, name = tempfile.mkstemp(dir=self.path.parent, prefix=".secrets-")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(number)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _from_keyring(self, name: str) -> str | None:
        if self._keyring_failed:  # whoever would not unlock it is not asked once for every name
            return None
        keyring = self._keyring
        if keyring is None:
            try:
                import keyring as installed
            except ModuleNotFoundError:
                self._keyring_failed = True
                return None
            keyring = installed
        try:
            return keyring.get_password(_SERVICE, name)
        except Exception:  # noqa: BLE001 - locked, absent or broken: then it does not have it, and each back end says so in its own way
            self._keyring_failed = True
            return None


def _forms(value: str) -> tuple[str, ...]:
    """A value as it is, and as a URL and JSON write it."""
    return value, quote(value, safe=""), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]


def _line(name: str, value: str) -> str:
    # A JSON text is a TOML text, but for DEL.
    return f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")


class ScrubbingFormatter(logging.Formatter):
    """A log format whose lines, tracebacks included, hold no secret.

    :param secrets: Whose.
    :param inner: The format itself.
    """

    def __init__(self, secrets: Secrets, inner: logging.Formatter) -> None:
        super().__init__()
        self._secrets = secrets
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return self._secrets.scrub(self._inner.format(record))


@cache
def own() -> Secrets:
    """The secrets of this person on this machine."""
    return Secrets()


def secret(name: str) -> str | None:
    """The value of a secret of this person; see `Secrets.get`."""
    return own().get(name)


def scrub(text: str) -> str:
    """A text without this person's secrets; see `Secrets.scrub`."""
    return own().scrub(text)
