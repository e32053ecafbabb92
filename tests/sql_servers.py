"""Real database servers for the SQL tests, each started by the first test that needs it."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from racto.tools.sql.engines import Target

from tests.postgres_server import postgres_server

running = ExitStack()
"""What is open until the tests are over."""
atexit.register(running.close)


@cache
def postgres() -> Target:
    """An empty PostgreSQL, as its superuser."""
    url = running.enter_context(postgres_server())
    given = psycopg.conninfo.conninfo_to_dict(url)
    return Target("postgresql", "postgres", host=str(given["host"]), username=str(given["user"]))


@cache
def mariadb() -> Target:
    """An empty MariaDB, as `root`, on a socket and a port of its own."""
    return running.enter_context(_mariadb())


@contextmanager
def _mariadb() -> Iterator[Target]:
    programs = [shutil.which(name) for name in ("mariadbd", "mariadb-install-db")]
    if not all(programs):
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    server, install = map(str, programs)
    user = ["--user=root"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="racto-my-") as folder:
        data, sock, log = Path(folder) / "data", Path(folder) / "sock", Path(folder) / "log"
        made = [
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        subprocess.run([*made, *user], check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        where = [
            f"--datadir={data}",
            f"--socket={sock}",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--log-error={log}",
        ]
        quick = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--skip-name-resolve"]
        process = subprocess.Popen(
            [server, "--no-defaults", *where, *quick, *user], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _await(process, sock, log)
            yield Target("mysql", "mysql", port=port, username="root", options={"unix_socket": str(sock)})
        finally:
            process.terminate()
            process.wait()


def _await(process: subprocess.Popen[bytes], sock: Path, log: Path) -> None:
    """Until it answers: the program waits and tries again as MariaDB's own clients do."""
    subprocess.run(
        ["mariadb-admin", "--no-defaults", f"--socket={sock}", "--user=root", "--wait=30", "ping"],
        check=process.poll() is None,
        capture_output=True,
    )
    assert sock.exists(), log.read_text()


def postgres_as_admin(database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
    """The superuser of the PostgreSQL, outside of transactions."""
    target = postgres()
    return psycopg.connect(host=target.host, user=target.username, dbname=database, autocommit=True)


def mariadb_as_admin(database: str | None = None) -> pymysql.Connection[Any]:
    """`root` of the MariaDB, outside of transactions."""
    target = mariadb()
    return pymysql.connect(
        unix_socket=target.options["unix_socket"], user=target.username, database=database, autocommit=True
    )
