"""The SQL analyst: what its guard, its pictures and its processes cost, what real queries come to, and what it and its peers let through.

    PATH=$PATH:/folder/with/python3.12 python -m benchmarks.sql [--quick]

Needs the databases (`../shared/data/sql` beside the checkout), MariaDB installed, and for the peers npm and a network on the first run (`sql_peers.py`); what is not
there is named. Writes `benchmarks/results/sql.json` and `.md`.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from racto.knowledge.errors import QueryRefusedError
from racto.tools.sql.catalogue import Catalogue, Column, Table
from racto.tools.sql.engines import Target
from racto.tools.sql.guard import Guard
from racto.tools.sql.pipeline import SQLAnalystPipeline
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.results import QueryResult
from racto.tools.sql.source import Source
from racto.tools.sql.statements import read
from racto.tools.sql.workers import Connection

from tests import sql_servers, sql_shop
from tests.analyst import COUNTRIES, Scripted, by_step, query, shop_file
from tests.test_sql_guard_gold import SETS, opened, same
from tests.test_sql_guard_gold import read as rows_of

from .sql_engines import SECONDS, engines, starts
from .sql_peers import versions
from .sql_pictures import first_picture, pictures
from .sql_trials import table, trials

RESULTS = Path(__file__).parent / "results"
DATA = sql_shop.DATA
QUESTION = "How many customers are there in each country?"

Case = tuple[Guard, str]


def gold() -> Iterator[tuple[sqlite3.Connection, Guard, str, str]]:
    """Every gold query with its database: connection, guard, set, SQL."""
    for name, (questions, where) in SETS.items():
        pairs = sorted({(row["db"], sql) for row in rows_of(questions) for sql in [row["gold"]] for sql in _each(sql)})
        database, last = None, ""
        for db, sql in pairs:
            if database is None or db != last:
                if database is not None:
                    database.close()
                (database, guard), last = opened(next(DATA.glob(where.format(db=db)))), db
            yield database, guard, name, sql
        if database is not None:
            database.close()


def _each(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def models_queries(every: int) -> list[tuple[str, str]]:
    """Dialect and text of SELECTs that models wrote, of the dialects there is an engine for."""
    rows = [row for row in rows_of("llm_sql/dev.jsonl") if row["dialect"] in ("sqlite", "postgres", "mysql")]
    return [(row["dialect"], row["sql"]) for row in rows[::every]]


def named_in(sql: str, dialect: str) -> Guard | None:
    """A guard whose catalogue has what a query names, as its database is not there: each column in the first table that could have it."""
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        tree = parse_one(sql, read=dialect)
    except SqlglotError:
        return None
    inner = {one.alias_or_name.lower() for one in tree.find_all(exp.CTE)}
    tables = {one.name: one for one in tree.find_all(exp.Table) if one.name.lower() not in inner}
    columns: dict[str, dict[str, Column]] = {name: {} for name in tables}
    owner = {one.alias_or_name.lower(): name for name, one in tables.items()}
    for column in tree.find_all(exp.Column):
        name = owner.get(column.table.lower()) if column.table else next(iter(tables), None)
        if name:
            columns[name][column.name.lower()] = Column(column.name, "TEXT")
    made = tuple(Table(name, tuple(of.values()), sql_shop.SCHEMAS[dialect]) for name, of in columns.items())
    return Guard(Catalogue(dialect, made, default_schema=sql_shop.SCHEMAS[dialect]), Policy())


def guard_speed(every: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of a warm check by dialect: the safety corpus, Spider's gold queries, and SELECTs that models wrote."""
    cases: dict[str, list[Case]] = {}
    for dialect in sql_shop.SCHEMAS:
        guard = Guard(sql_shop.catalogue(dialect), sql_shop.policy())
        cases[dialect] = [(guard, row["sql"]) for row in sql_shop.statements(dialect)]
    cases["sqlite"] += [(guard, sql) for _, guard, name, sql in gold() if name == "spider"][::every]
    for dialect, sql in models_queries(5 * every):
        if made := named_in(sql, dialect):
            cases[dialect].append((made, sql))
    return {dialect: _timed(of) for dialect, of in cases.items()}


def _timed(cases: list[Case]) -> dict[str, Any]:
    walls, cpus, passed = [], [], 0
    for guard, sql in cases:
        for warm in (False, True):
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                guard.check(sql)
                passed += warm
            except QueryRefusedError:
                pass
            if warm:
                walls.append((time.perf_counter() - wall) * 1e3)
                cpus.append((time.thread_time() - cpu) * 1e3)
    found: dict[str, Any] = {"checks": len(cases), "passed": passed}
    for kind, times in (("wall", walls), ("cpu", cpus)):
        found |= {f"{kind}_p50": statistics.median(times), f"{kind}_p99": statistics.quantiles(times, n=100)[98]}
    return found


def gold_rows(every: int) -> dict[str, int]:
    """Of the gold queries that run as they are: how many there are, and how many give the same rows through the guard."""
    found = Counter(
        same(database, guard, sql) for at, (database, guard, _, sql) in enumerate(gold()) if at % every == 0
    )
    return {"run": found[True] + found[False], "same": found[True]}


def unparsable(every: int) -> dict[str, dict[str, int]]:
    """Of the SELECTs models wrote that the database itself parses: how many, and how many our parser does not."""
    lite = sqlite3.connect(":memory:")
    postgres, mariadb = sql_servers.postgres_as_admin(), sql_servers.mariadb_as_admin("mysql")

    def sqlite_parses(sql: str) -> bool:
        try:
            lite.execute("EXPLAIN " + sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            return not any(words in str(error) for words in ("syntax", "unrecognized", "incomplete", "one statement"))
        return True

    def postgres_parses(sql: str) -> bool:
        import psycopg

        try:
            postgres.execute(("EXPLAIN " + sql).encode(), prepare=True)
        except psycopg.errors.SyntaxError:
            return False
        except psycopg.Error:
            pass
        return True

    def mariadb_parses(sql: str) -> bool:
        import pymysql

        try:
            with mariadb.cursor() as cursor:
                cursor.execute("PREPARE tried FROM " + mariadb.escape(sql))
        except pymysql.Error as error:
            return error.args[0] not in (1064, 1295, 1149)  # syntax, not preparable
        return True

    parses = {"sqlite": sqlite_parses, "postgres": postgres_parses, "mysql": mariadb_parses}
    found = {dialect: {"parsed": 0, "unparsable": 0} for dialect in parses}
    for dialect, sql in models_queries(every):
        if parses[dialect](sql):
            found[dialect]["parsed"] += 1
            try:
                read(sql, dialect)
            except QueryRefusedError as error:
                found[dialect]["unparsable"] += error.rule == "syntax"
    for connection in (lite, postgres, mariadb):
        connection.close()
    return found


class Remembered:
    """A database that has its answers at hand, so that only what is around it takes time.

    :param connection: Where they come from.
    """

    def __init__(self, connection: Connection) -> None:
        self._catalogue = connection.catalogue()
        self._result = connection.run(COUNTRIES, Limits())

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        return self._catalogue

    def fingerprint(self) -> str:
        return self._catalogue.fingerprint

    def run(self, sql: str, limits: Limits, *, token: object = None) -> QueryResult:
        return QueryResult(self._result.columns, list(self._result.rows), sql)

    def explain(self, sql: str, limits: Limits, *, token: object = None) -> str:
        return ""

    def cancel(self, token: object = None) -> None: ...

    def close(self) -> None: ...


def pipelines(repeats: int) -> dict[str, float]:
    """Milliseconds of a whole question at the median, with a model that answers at once: without a database, and with SQLite in its process."""
    model = Scripted(each=by_step(sql=query(COUNTRIES), answer="[[table]]"))
    policy = sql_shop.policy()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = shop_file(Path(folder) / "shop.db")
        with closing(Connection(Target("sqlite", str(path)), policy)) as connection:
            sources = {
                "none": Source("shop", Remembered(connection), policy, Limits()),
                "sqlite": Source("shop", connection, policy, Limits()),
            }
            for name, source in sources.items():
                for figures in (True, False):
                    found[f"{name}{', Plotly' if figures else ''}"] = asyncio.run(
                        _pipeline(model, source, figures, repeats)
                    )
    return found


async def _pipeline(model: Scripted, source: Source, figures: bool, repeats: int) -> float:
    times = []
    async with SQLAnalystPipeline(model, figures=figures) as pipeline:
        for _ in range(repeats + 3):
            began = time.perf_counter()
            result = await pipeline.arun(QUESTION, source=source)
            times.append((time.perf_counter() - began) * 1e3)
            assert result.answer, result
            assert result.chart_spec, result
            assert (result.plotly_figure is not None) is figures
    return statistics.median(times[3:])


def promises(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """What was promised, what was measured, and whether it was kept."""
    guard, drawn = found["guard"].values(), [time for of in found["pictures"].values() for time in of.values()]
    p50, p99 = max(one["wall_p50"] for one in guard), max(one["wall_p99"] for one in guard)
    asked = found["pipeline"]["none, Plotly"]
    late = max(one["late_s"] for one in found["engines"].values())
    gold_found, parsed = found["gold"], sum(one["parsed"] for one in found["unparsable"].values())
    refused = sum(one["unparsable"] for one in found["unparsable"].values())
    ours = [one for one in found["trials"] if one["name"] == "racto"]
    through, wrong = sum(one["ran"] + one["harmed"] for one in ours), sum(one["refused"][0] for one in ours)
    return [
        ("guard, a check, p50 ≤ 0.5 ms, of the slowest dialect", f"{p50:.2f} ms", p50 <= 0.5),
        ("guard, a check, p99 ≤ 15 ms, of the slowest dialect", f"{p99:.1f} ms", p99 <= 15),
        ("a question without model and database, p50 ≤ 25 ms", f"{asked:.1f} ms", asked <= 25),
        ("a PNG, p50 ≤ 250 ms", f"{statistics.median(drawn):.0f} ms", statistics.median(drawn) <= 250),
        ("the same, of the slowest type and size", f"{max(drawn):.0f} ms", max(drawn) <= 250),
        ("a query ends ≤ 1 s after its time limit, at the latest", f"{late:.3f} s", late <= 1),
        (
            "gold queries that run give the same rows through the guard",
            f"{gold_found['same']:,} of {gold_found['run']:,}",
            gold_found["same"] == gold_found["run"],
        ),
        (
            "models' SELECTs that the database parses, refused as unparsable ≤ 0.2 %",
            f"{refused} of {parsed:,} ({refused / parsed:.2%})",
            refused <= parsed * 0.002,
        ),
        ("denied statements that the server lets through: none", str(through), through == 0),
        ("legitimate statements that it refuses ≤ 1", str(wrong), wrong <= 1),
    ]


def report(found: dict[str, Any]) -> str:
    """Everything as Markdown."""
    lines = ["# SQL analyst", "", found["about"], "", "| promised | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {value} | {'yes' if kept else '**no**'} |" for what, value, kept in found["promised"]]
    lines += _guard_and_pipeline(found)
    lines += ["", "| a PNG, ms | 12 rows | 10,000 rows |", "|---|---:|---:|"]
    lines += [f"| {kind} | {of['12']:.0f} | {of['10000']:.0f} |" for kind, of in found["pictures"].items()]
    lines += ["", f"The first of a new process, with all imports: {found['first_picture']:.0f} ms.", ""]
    lines += [
        "| engine | first query, its process started, ms | a query, ms (bare driver) | 10,000 rows of 10 columns, ms (bare driver) | latest end after the time limit, s |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {of['first_ms']:.0f} | {of['query_ms']:.2f} ({of['bare_query_ms']:.3f}) | {of['rows_ms']:.0f} ({of['bare_rows_ms']:.0f}) | {of['late_s']:.3f} |"
        for name, of in found["engines"].items()
    ]
    lines += table(found["trials"])
    start = found["start"]
    lines += [
        "",
        "| `racto serve` | tools listed, ms | first answer, ms | CPU, ms | memory, MB |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {label} | {start[kind]['list_ms']:.0f} | {start[kind]['call_ms']:.0f} | {start[kind]['cpu_ms']:.0f} | {start[kind]['rss_mb']:.1f} |"
        for kind, label in (("without", "no database"), ("with", "one database configured"))
    ]
    lines += [
        f"| more, median of pairs | {start['list_ms_more']:+.0f} | {start['call_ms_more']:+.0f} | {start['cpu_ms_more']:+.0f} | |",
        "",
        f"`import racto`: {start['import_cpu_ms']:.1f} ms of CPU. The first `sql_query` of a new server: {start['first_query_ms']:.0f} ms.",
    ]
    return "\n".join(lines) + "\n"


def _guard_and_pipeline(found: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "| guard, a check, ms | checks | pass | p50 | p99 | CPU p50 | CPU p99 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {dialect} | {of['checks']:,} | {of['passed']:,} | {of['wall_p50']:.2f} | {of['wall_p99']:.1f} | {of['cpu_p50']:.2f} | {of['cpu_p99']:.1f} |"
        for dialect, of in found["guard"].items()
    ]
    asked = found["pipeline"]
    return [
        *lines,
        "",
        "The safety corpus in each dialect; in SQLite also Spider's gold queries; SELECTs that models wrote, against a catalogue of the names in them, in all but DuckDB.",
        "",
        "| a whole question, ms | no database | SQLite in its process |",
        "|---|---:|---:|",
        f"| with a Plotly figure (Python) | {asked['none, Plotly']:.1f} | {asked['sqlite, Plotly']:.1f} |",
        f"| without (tools) | {asked['none']:.1f} | {asked['sqlite']:.1f} |",
        "",
        "In it: schema, three prompts and answers of a model that answers at once, guard, choice of chart, figure, the check of the answer's numbers. Five rows, no second query.",
    ]


def main() -> None:
    """Measure, print, keep."""
    if not DATA.is_dir():
        raise SystemExit(f"The databases are not at {DATA}.")
    quick = "--quick" in sys.argv
    every, repeats = (12, 5) if quick else (1, 15)
    load, began = os.getloadavg()[0], time.monotonic()
    found: dict[str, Any] = {}
    for name, measure in {
        "guard": lambda: guard_speed(every),
        "gold": lambda: gold_rows(every),
        "unparsable": lambda: unparsable(every),
        "pipeline": lambda: pipelines(repeats * 4),
        "pictures": lambda: pictures(max(3, repeats // 2)),
        "first_picture": lambda: first_picture(repeats // 3),
        "engines": lambda: engines(max(3, repeats // 3)),
        "start": lambda: starts(repeats // 2),
        "trials": lambda: [asdict(one) for one in trials(repeats * 10, every)],
    }.items():
        found[name] = measure()
        print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    found["about"] = (
        f"Medians of wall time unless it says CPU. A time limit of {SECONDS:g} s is the one that is reached. Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"load {load:.1f} at the start; {time.monotonic() - began:.0f} s in all. Peers: {versions()}."
    )
    found["promised"] = promises(found)
    text = report(found)
    print(text)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "sql.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (RESULTS / "sql.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
