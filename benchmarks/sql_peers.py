"""Other servers that let a model query a database: what statements of the safety corpus they let through, and how long a query takes.

Each is installed in an environment of its own under `.cache/sql-peers` (the first run takes a minute or two), started as its own users start it, read-only
where it can be told so, and asked over stdio as a host does. What cannot be had is named with the reason; sqlsaber needs `python3.12` on the PATH,
DBHub and the reference server need npm.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests import sql_shop

from .transport import HANDSHAKE

CACHE = Path(__file__).parents[1] / ".cache" / "sql-peers"
TOOLS = ("sql_query", "query", "read_query", "execute_sql", "execute_query")
"""What they call the tool that reads."""
SIMPLE = "SELECT country, count(*) AS n FROM customers GROUP BY country ORDER BY country"
PATIENCE = 4.0
"""Seconds a statement may take; one that takes longer ran, and was not stopped."""
ACCOUNT = "peer"
"""Owns the shop in PostgreSQL, and is no superuser."""

# The published peer is a class, not a server: this is the least server around it, with a model that has the query at hand.
RACTOGATEWAY = """
import json, sys
from types import SimpleNamespace
from ractogateway.pipelines import SQLAnalystPipeline

class Kit:
    sql = ""
    def chat(self, config):
        return SimpleNamespace(content=self.sql, usage={})

kit, policy = Kit(), json.loads(sys.argv[2])
pipeline = SQLAnalystPipeline(kit, run_pandas=False, run_answer=False, chart=None, max_sql_retries=0, **policy)
for line in sys.stdin:
    asked, answer = json.loads(line), {}
    if asked["method"] == "tools/list":
        answer = {"tools": [{"name": "query", "inputSchema": {"properties": {"sql": {}}}}]}
    if asked["method"] == "tools/call":
        kit.sql = asked["params"]["arguments"]["sql"]
        try:
            text, failed = json.dumps(pipeline.run("?", connection_string=sys.argv[1]).raw_rows, default=str), False
        except Exception as error:
            text, failed = str(error), True
        answer = {"content": [{"type": "text", "text": text}], "isError": failed}
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"""


@dataclass(frozen=True)
class Database:
    """A throw-away shop.

    :param dialect: As the corpus names it.
    :param where: Its file, or host and port of its server.
    :param restore: Makes it as it was.
    :param state: Everything that is in it.
    """

    dialect: str
    where: str
    restore: Callable[[], None]
    state: Callable[[], object]


@dataclass(frozen=True)
class Peer:
    """A server to compare with.

    :param dialects: What it can be asked about.
    :param command: How it is started on a database, in a folder of its own.
    :param install: Makes it; the value is the reason why not.
    """

    name: str
    dialects: tuple[str, ...]
    command: Callable[[Database, Path], list[str]]
    install: Callable[[], str] = lambda: ""
    environment: dict[str, str] = field(default_factory=dict)


class Asked:
    """A server on the other end of two pipes."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=folder,
            env={**os.environ, **environment},
        )
        self._id, self._rest = 0, b""
        try:
            self.ask("initialize", HANDSHAKE, 60)
            self._send({"method": "notifications/initialized"})
            tools = self.ask("tools/list", {}, 20)["tools"]
        except (TimeoutError, EOFError, BrokenPipeError, KeyError) as error:
            said = (folder / "log").read_text(errors="replace").splitlines()
            self.close()
            raise RuntimeError(next((line for line in said if "rror" in line), repr(error))) from None
        fields = ((tool["name"], name) for tool in tools for name in tool["inputSchema"].get("properties", {}))
        self._tool, self._field = next(
            (tool, name) for tool, name in fields if tool in TOOLS and name in ("sql", "query")
        )

    def query(self, sql: str) -> tuple[bool, str]:
        """Whether it ran, and what came back.

        :raises TimeoutError: it still runs.
        """
        answer = self.ask("tools/call", {"name": self._tool, "arguments": {self._field: sql}}, PATIENCE)
        text = json.dumps(answer)
        said = next((block.get("text", "") for block in answer.get("content", ())), "")
        # Some say only in words that it failed. What the database itself could not do counts as stopped, whoever passed it on.
        return not (answer.get("isError") or said.startswith(("Error", "Database error"))), text

    def ask(self, method: str, params: dict[str, Any], seconds: float) -> Any:
        """One request and its answer."""
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            said = json.loads(self._line(time.monotonic() + seconds))
            if said.get("id") == self._id:
                return said.get("result", {"isError": True, "error": said.get("error")})

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                if line.startswith(b"{"):  # whatever else is on stdout is no message
                    return line
                continue
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(pipe, 2**16)
            if not chunk:
                raise EOFError
            self._rest += chunk


def _pip(folder: str, *packages: str, python: str = sys.executable) -> Callable[[], str]:
    def install() -> str:
        if not (CACHE / folder / "done").exists():
            found = shutil.which(python)
            if not found:
                return f"needs {python}"
            try:
                subprocess.run([found, "-m", "venv", "--clear", CACHE / folder], check=True, capture_output=True)
                pip = [CACHE / folder / "bin" / "pip", "install", "-q", *packages]
                subprocess.run(pip, check=True, capture_output=True, text=True)
            except subprocess.CalledProcessError as error:
                return str(error.stderr).strip().splitlines()[-1][:160]
            (CACHE / folder / "done").touch()
        return ""

    return install


def _npm(package: str) -> Callable[[], str]:
    def install() -> str:
        if not shutil.which("npm"):
            return "needs npm"
        if not (CACHE / "node_modules" / package).exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(CACHE), package]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return done.stderr.strip().splitlines()[-1][:160]
        return ""

    return install


def _url(database: Database, postgres: str = "postgresql") -> str:
    if database.dialect == "postgres":
        return f"{postgres}://{ACCOUNT}@{database.where}/{ACCOUNT}"
    return f"{database.dialect}:///{database.where}"


def _racto(database: Database, folder: Path) -> list[str]:
    table = {"url": f"{database.dialect}:///{database.where}", **sql_shop.shop().POLICY, "seconds": 2.0}
    if database.dialect == "postgres":
        table["url"] = _url(database)
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
    (folder / "racto.toml").write_text(f"[sql_databases.shop]\n{lines}")
    return [str(Path(sys.executable).with_name("racto")), "serve"]


def _dbhub(database: Database, folder: Path) -> list[str]:
    url = _url(database) if database.dialect == "postgres" else f"sqlite://{database.where}"
    tool = '[[tools]]\nname = "execute_sql"\nsource = "shop"\nreadonly = true\n'
    (folder / "dbhub.toml").write_text(f'[[sources]]\nid = "shop"\ndsn = "{url}"\n{tool}')
    return [str(CACHE / "node_modules" / ".bin" / "dbhub"), "--transport", "stdio", "--config", "dbhub.toml"]


def _bin(folder: str, name: str) -> str:
    return str(CACHE / folder / "bin" / name)


RACTO = Peer(
    "racto",
    ("sqlite", "duckdb", "postgres"),
    _racto,
    environment={"RACTO_CONFIG": "racto.toml", "RACTO_DATABASE": "racto.db"},
)
PEERS = (
    Peer(
        "ractogateway",
        ("sqlite", "postgres"),
        lambda database, _: [
            sys.executable,
            "-c",
            RACTOGATEWAY,
            _url(database, "postgresql+psycopg"),
            json.dumps(sql_shop.shop().POLICY),
        ],
    ),
    Peer(
        "sqlsaber",
        ("sqlite", "duckdb", "postgres"),
        lambda database, _: [_bin("sqlsaber", "sqlsaber"), "mcp", "-d", _url(database)],
        _pip("sqlsaber", "sqlsaber", python="python3.12"),
    ),
    Peer("DBHub", ("sqlite", "postgres"), _dbhub, _npm("@bytebase/dbhub")),
    Peer(
        "mcp-server-sqlite",
        ("sqlite",),
        lambda database, _: [_bin("reference", "mcp-server-sqlite"), "--db-path", database.where],
        _pip("reference", "mcp<2", "mcp-server-sqlite", "mcp-server-duckdb"),
    ),
    Peer(
        "mcp-server-duckdb",
        ("duckdb",),
        lambda database, _: [_bin("reference", "mcp-server-duckdb"), "--db-path", database.where, "--readonly"],
        _pip("reference", "mcp<2", "mcp-server-sqlite", "mcp-server-duckdb"),
    ),
    Peer(
        "mcp-server-motherduck",
        ("duckdb",),
        lambda database, _: [_bin("motherduck", "mcp-server-motherduck"), "--db-path", database.where],
        _pip("motherduck", "mcp-server-motherduck"),
    ),
    Peer(
        "server-postgres",
        ("postgres",),
        lambda database, _: [str(CACHE / "node_modules" / ".bin" / "mcp-server-postgres"), _url(database)],
        _npm("@modelcontextprotocol/server-postgres"),
    ),
)


def versions() -> str:
    """What is compared with, as it is installed."""
    found = {"ractogateway": version("ractogateway")}
    for name in ("sqlsaber", "mcp_server_sqlite", "mcp_server_duckdb", "mcp_server_motherduck"):
        for one in CACHE.glob(f"*/lib/python*/site-packages/{name}-*.dist-info"):
            found[name.replace("_", "-")] = one.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    for name, package in (("DBHub", "@bytebase/dbhub"), ("server-postgres", "@modelcontextprotocol/server-postgres")):
        for one in CACHE.glob(f"node_modules/{package}/package.json"):
            found[name] = json.loads(one.read_text())["version"]
    return ", ".join(f"{name} {number}" for name, number in found.items())
