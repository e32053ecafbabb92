"""The statements of the safety corpus, asked of racto and its peers one after the other, over throw-away copies of the shop."""

from __future__ import annotations

import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racto.tools.sql.engines import Target

from tests import sql_shop

from .sql_engines import bare_query
from .sql_peers import ACCOUNT, PEERS, RACTO, SIMPLE, Asked, Database, Peer

# The PostgreSQL of the tests listens on a socket only, and not every peer can be told one.
FORWARDER = """
import asyncio, sys

async def pass_on(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def serve(reader, writer):
    far_reader, far_writer = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer), return_exceptions=True)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def databases(folder: Path) -> Iterator[list[Database]]:
    """The shop in a SQLite file, a DuckDB file and a PostgreSQL."""
    from tests import sql_servers

    command = [sys.executable, "-c", FORWARDER, f"{sql_servers.postgres().host}/.s.PGSQL.5432"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarder:
        assert forwarder.stdout is not None
        where = f"127.0.0.1:{int(forwarder.stdout.readline())}"
        try:
            yield [_sqlite(folder / "shop.db"), _duckdb(folder / "shop.duckdb"), _postgres(where)]
        finally:
            forwarder.kill()


def _sqlite(path: Path) -> Database:
    def restore() -> None:
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as made:
            sql_shop.fill("sqlite", lambda sql, row: made.execute(sql, row))
            made.commit()

    return Database("sqlite", str(path), restore, path.read_bytes)


def _duckdb(path: Path) -> Database:
    import duckdb

    def restore() -> None:
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        with closing(duckdb.connect()) as made:
            # In a form that older releases, which the peers bring, read too.
            made.execute(f"ATTACH '{path}' AS shop (STORAGE_VERSION 'v1.0.0')").execute("USE shop")
            sql_shop.fill("duckdb", lambda sql, row: made.execute(sql, list(row)))

    # What was changed last lies beside the file.
    return Database(
        "duckdb", str(path), restore, lambda: [one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}*"))]
    )


def _postgres(where: str) -> Database:
    from tests import sql_servers

    with sql_servers.postgres_as_admin() as admin:
        admin.execute(f"CREATE ROLE {ACCOUNT} LOGIN".encode())

    def restore() -> None:
        with sql_servers.postgres_as_admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {ACCOUNT} WITH (FORCE)".encode())
            admin.execute(f"CREATE DATABASE {ACCOUNT} OWNER {ACCOUNT}".encode())
        with sql_servers.postgres_as_admin(ACCOUNT) as admin:
            admin.execute(f"SET ROLE {ACCOUNT}".encode())
            sql_shop.fill("postgres", lambda sql, row: admin.execute(sql.encode(), row or None))

    def state() -> object:
        with sql_servers.postgres_as_admin(ACCOUNT) as admin:
            names = admin.execute("SELECT relname, relacl FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            there = sorted(map(str, names.fetchall()))
            if not all(any(table in one for one in there) for table in sql_shop.shop().TABLES):
                return there
            return there, sql_shop.state("postgres", lambda sql: admin.execute(sql.encode()).fetchall())

    return Database("postgres", where, restore, state)


BARE = "(its driver, no server)"
PROTECTED = re.compile(r"CANARY[\w-]+|canary\.email\d+|98765\d+")
"""Values that nobody may see; one that stands in the statement itself was not read."""
# What only somebody promises who hides tables or columns; the rest a read-only server promises too.
HIDING = ("blocked_column", "blocked_column_star", "masked_column_inference", "whole_row", "table_not_allowed")


@dataclass
class Trial:
    """What one server let through of one database's denied statements.

    :param denied: How many there are.
    :param ran: Of those, how many ran.
    :param harmed: How many brought a protected value or changed something.
    :param writing: Of those that change, leave or reach beyond the database, how many ran, and how many there are.
    :param refused: Legitimate statements that did not run, and how many there are.
    :param milliseconds: A simple query, at the median.
    """

    name: str
    dialect: str
    denied: int = 0
    ran: int = 0
    harmed: int = 0
    writing: tuple[int, int] = (0, 0)
    refused: tuple[int, int] = (0, 0)
    milliseconds: float = 0.0
    missing: str = ""


def trial(peer: Peer, database: Database, calls: int, every: int) -> Trial:
    """Ask a server everything that is denied, one statement after the other; it is started anew when it broke or changed something."""
    found = Trial(peer.name, database.dialect)
    with tempfile.TemporaryDirectory(prefix="racto-peer-") as name:
        folder = Path(name)

        def start() -> Asked:
            database.restore()
            return Asked(peer.command(database, folder), folder, peer.environment)

        try:
            asked = start()
        except (RuntimeError, StopIteration, OSError) as error:
            found.missing = str(error)[:160]
            return found
        times = []
        for _ in range(calls):
            began = time.perf_counter()
            ran, text = asked.query(SIMPLE)
            times.append((time.perf_counter() - began) * 1e3)
            assert ran, (peer.name, text)
        found.milliseconds = statistics.median(times[calls // 10 :])
        rows = [row for row in sql_shop.statements(database.dialect) if row.get("stage") != "exec"][::every]
        before = database.state()
        writing = [0, 0]
        for row in (row for row in rows if row["verdict"] == "deny"):
            broken = False
            try:
                ran, text = asked.query(row["sql"])
            except TimeoutError:
                ran, text, broken = True, "", True
            except (EOFError, BrokenPipeError):
                ran, text, broken = True, "", True
            changed = broken or database.state() != before
            leaked = any(value not in row["sql"] for value in PROTECTED.findall(text))
            # A rewritten statement that reads nothing protected is as good as a refusal.
            ran = leaked or (ran and not row.get("rewrite_ok"))
            found.denied += 1
            found.ran += ran
            found.harmed += leaked or (changed and not broken)
            if row["rule"] not in HIDING:
                writing[0] += ran
                writing[1] += 1
            if changed:
                asked.close()
                asked = start()
                before = database.state()
        legitimate = [row for row in rows if row["verdict"] == "allow"]
        refusals = 0
        for row in legitimate:
            try:
                refusals += not asked.query(row["sql"])[0]
            except (TimeoutError, EOFError, BrokenPipeError):
                refusals += 1
                asked.close()
                asked = start()
        asked.close()
        found.writing, found.refused = (writing[0], writing[1]), (refusals, len(legitimate))
    return found


def _bare(database: Database, calls: int) -> Trial:
    """The driver itself, in this process, without any server."""
    database.restore()
    engine, name = ("postgresql", ACCOUNT) if database.dialect == "postgres" else (database.dialect, database.where)
    ask, times = bare_query(engine, Target(engine, name)), []
    for _ in range(calls):
        began = time.perf_counter()
        ask(SIMPLE)
        times.append((time.perf_counter() - began) * 1e3)
    return Trial(BARE, database.dialect, milliseconds=statistics.median(times))


def trials(calls: int, every: int) -> list[Trial]:
    """Every server over every database it knows."""
    found = []
    reasons = {peer.name: peer.install() for peer in PEERS}
    with tempfile.TemporaryDirectory(prefix="racto-peers-") as folder, databases(Path(folder)) as made:
        for database in made:
            found.append(_bare(database, calls))
            for peer in (RACTO, *PEERS):
                if database.dialect not in peer.dialects:
                    continue
                reason = reasons.get(peer.name, "")
                found.append(
                    Trial(peer.name, database.dialect, missing=reason)
                    if reason
                    else trial(peer, database, calls, every)
                )
                print(f"  {found[-1]}", flush=True)
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Trials, as `asdict` gives them, as lines of Markdown."""
    lines = [
        "",
        "| server | database | denied statements that ran | of those that write, escape or look around: ran | brought a hidden value or changed data | legitimate ones that failed | a simple SELECT, p50, ms |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        name = f"**{one['name']}**" if one["name"] == "racto" else one["name"]
        if one["missing"]:
            lines.append(f"| {name} | {one['dialect']} | not measured: {one['missing']} | | | | |")
            continue
        if one["name"] == BARE:
            lines.append(f"| {name} | {one['dialect']} | | | | | {one['milliseconds']:.2f} |")
            continue
        (writing, of), (refused, legitimate) = one["writing"], one["refused"]
        lines.append(
            f"| {name} | {one['dialect']} | {one['ran']} of {one['denied']} | {writing} of {of} | {one['harmed']} "
            f"| {refused} of {legitimate} | {one['milliseconds']:.2f} |"
        )
    about = (
        "Each is its published server over stdio, read-only where it can be told so; ractogateway is a class, in the least server around it, with the policy. "
        "What the database itself refused does not count as run. Which tables and columns to hide only racto and ractogateway were told, as the others cannot be: "
        "they promise only what the second number is of."
    )
    return [*lines, "", about]
