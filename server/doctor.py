"""What works on this machine, what does not, and the exact thing to do about it."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shlex
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal

from ..knowledge.edge import blocking
from ..knowledge.errors import RactoError
from ..knowledge.migrations import MIGRATIONS
from .hosts import ENTRY, HOSTS, Host, command, installed
from .settings import Settings, masked

if TYPE_CHECKING:
    from .database_settings import DatabaseSettings

START_LIMIT = 30.0
"""Seconds a server may take to answer before it counts as broken."""
LITTLE_SPACE = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    :param state: `ok`; `note`, which stops nothing; or `broken`.
    :param fix: What to do; empty when there is nothing to do.
    """

    state: Literal["ok", "note", "broken"]
    about: str
    said: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one thing at a time."""
    yield _python()
    yield from _packages()
    yield _database(settings.database)
    yield from _roots(settings.roots)
    for name, one in settings.sql_databases.items():
        yield _asked(name, one)
        yield from _fits(settings, name)
    yield _port(settings)
    if settings.redis_url:
        yield _redis(settings.redis_url)
    program, arguments = command()
    yield asyncio.run(_answers("server", program, arguments, {"RACTO_DATABASE": str(settings.database)}))
    for name, host in HOSTS.items():
        yield from _host(name, host)


def _python() -> Finding:
    said = f"{sys.version.split()[0]} at {sys.executable}, SQLite {sqlite3.sqlite_version}"
    return Finding("ok", "python", said)


def _packages() -> Iterator[Finding]:
    """Every package racto needs is there and can be imported."""
    working = []
    for requirement in metadata.requires(ENTRY) or []:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        fix = f"{shlex.quote(sys.executable)} -m pip install --force-reinstall {shlex.quote(requirement)}"
        try:
            distribution = metadata.distribution(name)
            for module in _modules(distribution):
                importlib.import_module(module)
        except metadata.PackageNotFoundError:
            yield Finding("broken", "packages", f"{name} is not installed.", fix)
        except Exception as error:  # noqa: BLE001  # a compiled module may fail in any way
            yield Finding("broken", "packages", f"{name} cannot be imported: {error}", fix)
        else:
            working.append(f"{name} {distribution.version}")
    yield Finding("ok", "packages", ", ".join(working))


def _modules(distribution: metadata.Distribution) -> set[str]:
    """The names a distribution is imported by: its packages, and its modules beside them."""
    found = set()
    for file in distribution.files or []:
        top = file.parts[0]
        if len(file.parts) == 2 and file.name == "__init__.py" and top.isidentifier():
            found.add(top)
        elif len(file.parts) == 1 and file.suffix in {".py", ".so", ".pyd"} and not top.startswith("_"):
            found.add(top.partition(".")[0])
    return found


def _database(path: Path) -> Finding:
    if not path.exists():
        folder = next(parent for parent in path.parents if parent.exists())
        if os.access(folder, os.W_OK):
            return Finding("ok", "database", f"{path} will be made on first use.")
        return Finding(
            "broken",
            "database",
            f"{path} cannot be made: {folder} is not writable.",
            "Set RACTO_DATABASE to a file elsewhere.",
        )
    damaged = f"racto doctor --rebuild --database {shlex.quote(str(path))}"
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            verdict = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            kept = _kept(connection) if version else "nothing yet"
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return Finding("broken", "database", f"{path}: {error}", damaged)
    if verdict != ["ok"]:
        return Finding("broken", "database", f"{path} is damaged: {'; '.join(verdict)}", damaged)
    if version > len(MIGRATIONS):
        return Finding("broken", "database", f"{path} was written by a newer racto.", "Upgrade racto.")
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return Finding(
            "broken", "database", f"{path} or its folder cannot be written.", f"chmod u+w {shlex.quote(str(path))}"
        )
    if shutil.disk_usage(path).free < LITTLE_SPACE:
        return Finding("note", "database", f"{path} is on a disk that is nearly full.", "Free some space.")
    return Finding("ok", "database", f"{path}, {path.stat().st_size / 2**20:.1f} MiB, sound: {kept}.")


def _kept(connection: sqlite3.Connection) -> str:
    counts = connection.execute(
        "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM pages), (SELECT count(DISTINCT name) FROM prompt_versions)"
    ).fetchone()
    return "{} documents with {} pages, {} prompts".format(*counts)


def _roots(roots: tuple[Path, ...]) -> Iterator[Finding]:
    fix = "Set RACTO_ROOTS, or `roots` in the config file, or: racto install claude --root DIR"
    if not roots:
        yield Finding("note", "roots", "No folder may be read; only text that is given can be ingested.", fix)
    for root in roots:
        if not root.exists():
            yield Finding("note", "roots", f"{root} does not exist.", fix)
        elif not os.access(root, os.R_OK | (os.X_OK if root.is_dir() else 0)):
            yield Finding("broken", "roots", f"{root} cannot be read.", f"chmod u+rx {shlex.quote(str(root))}")
        else:
            yield Finding("ok", "roots", f"{root} can be read.")


def _asked(name: str, one: DatabaseSettings) -> Finding:
    """A database that may be asked answers, and its account may only read."""
    from ..tools.sql.engines import make, risks
    from ..tools.sql.grants import grant_script
    from ..tools.sql.guard import Guard
    from .databases import policy_of, target_of, with_password

    about, policy = f"sql database {name}", policy_of(one)
    try:
        target = with_password(name, target_of(name, one))
        with closing(make(target, policy)) as engine:
            catalogue = engine.catalogue()
            Guard(catalogue, policy).check("SELECT 1")
            risky = risks(engine)
    except RactoError as error:
        return Finding("broken", about, error.message, error.hint)
    tables = f"{len(catalogue.visible(policy).tables)} tables and views can be asked."
    if not risky:
        return Finding("ok", about, tables)
    script = grant_script(catalogue, policy, "racto_reader", database=target.database)
    return Finding(
        "note",
        about,
        " ".join([tables, *risky]),
        f"Let racto in as a role that can only read; an administrator makes it with:\n{indent(script, '      ')}",
    )


def _fits(settings: Settings, name: str) -> Iterator[Finding]:
    """What the settings and the semantic layer say of a database is about something that is in it."""
    from .databases import databases

    asked = databases(settings)
    try:
        problems = asked.source(name).problems()
    except RactoError:
        return  # that it cannot be asked is said already
    finally:
        asked.close()
    if problems:
        yield Finding("note", f"sql database {name}", " ".join(problems), "Correct its settings or its semantics file.")


def _port(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        state: Literal["note", "broken"] = "note" if settings.transport == "stdio" else "broken"
        return Finding(
            state,
            "port",
            f"{where} is not free for HTTP: {error.strerror}.",
            "racto serve --transport http --port 0 takes a free one",
        )
    return Finding("ok", "port", f"{where} is free for HTTP.")


def _redis(url: str) -> Finding:
    from .shared import store

    try:
        blocking(store(url, "doctor").get)("here")
    except RactoError as error:
        return Finding("broken", "redis", error.message, error.hint)
    return Finding("ok", "redis", f"{masked(url)} answers.")


def _host(name: str, host: Host) -> Iterator[Finding]:
    path = host.path()
    if not path.exists():
        return
    try:
        found = installed(host)
    except RactoError as error:
        by_hand = f"`racto install {name}` shows what to add by hand."
        yield Finding("note" if host.comments else "broken", host.title, error.message, by_hand)
        return
    if found is None:
        yield Finding("note", host.title, f"{path} does not have racto.", f"racto install {name}")
        return
    again = f"racto install {name}"
    program, arguments, variables = found.get("command"), found.get("args", []), found.get("env", {})
    if not isinstance(program, str) or not isinstance(arguments, list) or not isinstance(variables, dict):
        yield Finding("broken", host.title, f"The entry in {path} is not complete.", again)
        return
    finding = asyncio.run(_answers(host.title, program, [str(word) for word in arguments], variables))
    yield Finding(finding.state, finding.about, finding.said, again if finding.fix else "")


async def _answers(about: str, program: str, arguments: list[str], variables: dict[str, Any]) -> Finding:
    """Start a server as a host would and ask for its tools."""
    if shutil.which(program) is None:
        return Finding("broken", about, f"{program} does not exist or cannot be run.", "Install racto again.")
    from mcp import Client, StdioServerParameters  # after `_packages` has said whether that works
    from mcp.client.stdio import stdio_client

    parameters = StdioServerParameters(
        command=program, args=arguments, env={key: str(value) for key, value in variables.items()}
    )
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            async with asyncio.timeout(START_LIMIT), Client(stdio_client(parameters, errlog=log)) as client:
                tools = (await client.list_tools()).tools
                took = time.perf_counter() - began
        except Exception as error:  # noqa: BLE001  # whatever the SDK raises when the other side fails
            log.seek(0)
            last = (log.read().strip().splitlines() or [str(innermost(error)) or type(error).__name__])[-1]
            shown = shlex.join([program, *arguments])
            return Finding(
                "broken", about, f"`{shown}` does not answer: {last}", f"Run it yourself to see why: {shown}"
            )
    return Finding(
        "ok", about, f"`{shlex.join([program, *arguments])}` answers with {len(tools)} tools after {took:.1f} s."
    )


def innermost(error: BaseException) -> BaseException:
    """What went wrong, out of the groups in which the client's task groups wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
