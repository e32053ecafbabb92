"""The programs racto plugs into, where each keeps its list of MCP servers, and how to add one entry without touching the rest.

The files are edited as text: only the bytes of racto's own entry change, whatever the rest looks like.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..knowledge.errors import ConfigError, StorageError
from .json_edit import drop_member, parse, set_member
from .settings import Loaded, config_folder

ENTRY = "racto"
"""The name of racto's entry in every host's file."""


@dataclass(frozen=True, slots=True)
class Host:
    """A program that starts MCP servers.

    :param title: Its name as a person knows it.
    :param path: Its configuration file on this machine, or in the current folder where the file belongs to a project.
    :param key: The member of that file that holds the servers by name.
    :param extra: What an entry needs besides command, args and env.
    :param comments: It takes comments in its file, which plain JSON has not; racto leaves such a file to the person.
    :param after: What the person does next for it to take effect.
    """

    title: str
    path: Callable[[], Path]
    key: str = "mcpServers"
    extra: tuple[tuple[str, str], ...] = ()
    comments: bool = False
    after: str = "Restart it to load racto."


def claude_desktop_file() -> Path:
    """Claude Desktop's file; on Windows the one of the packaged app when that is installed, because it reads no other."""
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
        packaged = sorted(local.glob("Packages/Claude_*/LocalCache/Roaming/Claude"))
        folder = packaged[0] if packaged else config_folder() / "Claude"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support" / "Claude"
    else:
        folder = config_folder() / "Claude"
    return folder / "claude_desktop_config.json"


HOSTS = {
    "claude": Host("Claude Desktop", claude_desktop_file, after="Quit Claude Desktop completely and open it again."),
    "claude-code": Host(
        "Claude Code", lambda: Path.cwd() / ".mcp.json", after="Start `claude` in this folder and approve the server."
    ),
    "cursor": Host(
        "Cursor", lambda: Path.home() / ".cursor" / "mcp.json", after="Switch racto on in Cursor's MCP settings."
    ),
    "vscode": Host(
        "VS Code",
        lambda: Path.cwd() / ".vscode" / "mcp.json",
        key="servers",
        extra=(("type", "stdio"),),
        comments=True,
        after="Open .vscode/mcp.json in VS Code and press Start above the entry.",
    ),
}
"""Name on the command line → host."""


def command() -> tuple[str, list[str]]:
    """The absolute command, and its arguments, that starts this very installation whatever PATH a host gives it."""
    script = Path(sysconfig.get_path("scripts")) / ("racto.exe" if sys.platform == "win32" else "racto")
    if script.is_file():
        return str(script), ["serve"]
    # -P: the folder the host starts us in must not supply modules.
    return sys.executable, ["-P", "-m", "racto.server.cli", "serve"]


def environment(loaded: Loaded) -> dict[str, str]:
    """The variables an entry needs, so that a server started by the host reads and keeps in the same places as this command.

    The roots are always there unless the config file has them: they are what a person wants to see and change.
    """
    settings, sources = loaded.settings, loaded.sources
    variables = {}
    if sources["roots"] in {"default", "RACTO_ROOTS", "the command line"}:
        variables["RACTO_ROOTS"] = os.pathsep.join(map(str, settings.roots))
    if sources["database"] in {"RACTO_DATABASE", "the command line"}:
        variables["RACTO_DATABASE"] = str(settings.database)
    if sources["sql_databases"] == "RACTO_SQL_DATABASES":
        variables["RACTO_SQL_DATABASES"] = ",".join(
            f"{name}={one.url if '://' in one.url else Path(one.url).expanduser().absolute()}"
            for name, one in settings.sql_databases.items()
        )
    if config := os.environ.get("RACTO_CONFIG"):
        variables["RACTO_CONFIG"] = str(Path(config).expanduser().absolute())
    return variables


def entry(host: Host, variables: dict[str, str]) -> dict[str, Any]:
    """The entry that makes `host` start racto with these environment variables."""
    program, arguments = command()
    return {**dict(host.extra), "command": program, "args": arguments, "env": variables}


def block(host: Host, variables: dict[str, str]) -> str:
    """A whole configuration file with racto in it, as a person would paste it."""
    return set_member("", (host.key, ENTRY), entry(host, variables))


def example() -> str:
    """The Claude Desktop file for a machine we do not know: `racto` is looked for on PATH."""
    value = {"command": "racto", "args": ["serve"], "env": {"RACTO_ROOTS": "~/Documents"}}
    return set_member("", (HOSTS["claude"].key, ENTRY), value)


def read(host: Host) -> str:
    """What the host's file holds; nothing when there is no such file.

    :raises ConfigError: it cannot be read or is no UTF-8 text.
    """
    path = host.path()
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "Correct that first; nothing was changed.") from None


def installed(host: Host) -> dict[str, Any] | None:
    """Racto's entry in the host's file, or `None`.

    :raises ConfigError: the file is broken.
    """
    servers = _parsed(host, read(host), "").get(host.key)
    found = servers.get(ENTRY) if isinstance(servers, dict) else None
    return found if isinstance(found, dict) else None


def with_racto(host: Host, variables: dict[str, str]) -> tuple[str, str]:
    """What the host's file holds, and what it holds with racto in it. Nothing is written.

    :raises ConfigError: the file is not the plain JSON it should be; the hint has what to paste by hand.
    """
    old = read(host)
    paste = f"Nothing was changed. Add this to it by hand:\n{block(host, variables)}"
    _parsed(host, old, paste)
    try:
        return old, set_member(old, (host.key, ENTRY), entry(host, variables))
    except ValueError as error:
        raise ConfigError(f"{host.path()} has an unusual shape: {error}.", paste) from None


def without_racto(host: Host) -> tuple[str, str]:
    """What the host's file holds, and what it holds without racto. Nothing is written.

    :raises ConfigError: the file is broken.
    """
    old = read(host)
    return old, old if installed(host) is None else drop_member(old, (host.key, ENTRY))


def write(host: Host, text: str) -> Path | None:
    """Put `text` in the host's file: all of it or nothing, with the old file kept beside it.

    :returns: The backup, or `None` when there was no file.
    :raises StorageError: the folder or file cannot be written.
    """
    path = host.path().resolve()  # a link into somebody's dotfiles stays a link
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        backup = None
        if path.exists():
            backup = path.with_name(f"{path.name}.racto-backup-{datetime.now():%Y%m%d-%H%M%S-%f}")
            shutil.copy2(path, backup)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            if backup:
                shutil.copymode(backup, temporary)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.",
            "Nothing was changed; check who owns the file and its folder.",
        ) from None
    return backup


def _parsed(host: Host, text: str, paste: str) -> dict[str, Any]:
    try:
        return parse(text)
    except ValueError as error:
        comments = (
            " It seems to hold comments, which plain JSON has not."
            if re.search(r"^\s*(//|/\*)", text, re.MULTILINE)
            else ""
        )
        raise ConfigError(
            f"{host.path()} is not plain JSON: {error}.{comments}", paste or "Correct it first; nothing was changed."
        ) from None
