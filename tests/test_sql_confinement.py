"""Analysis code a model wrote: what computes works, and nothing gets out, stays behind, or takes more than it may."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from racto.knowledge.errors import ConfigError, LimitError, QueryError, RactoError, TimeLimitError
from racto.tools.sql import confinement, lockdown
from racto.tools.sql.confinement import available, run_code, run_code_async
from racto.tools.sql.policy import Limits

from .analysis_code import BROKEN, ESCAPES, FORBIDDING, GREEDY, NAMES, ROWS, WORKS, Escape

GIVEN = Path(__file__).parents[2] / "shared" / "data" / "sql" / "escapes.jsonl"
LIMITS = Limits(seconds=20)
TIGHT = Limits(seconds=0.7, result_bytes=2**20)
CANARY = "CANARYFILE"

pytestmark = pytest.mark.skipif(bool(available()), reason=f"code cannot be confined here; missing: {available()}")


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    confinement.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server on this machine that answers everything with a canary."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"CANARYNET\n")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "canary.txt").write_text(f"{CANARY}\n", encoding="utf-8")
    return tmp_path


def came_back(code: str, engine: str = "pandas", limits: Limits = LIMITS) -> str:
    """All a caller can see of a run."""
    library: Literal["pandas", "polars"] = "polars" if engine == "polars" else "pandas"
    try:
        return repr(run_code(code, NAMES, ROWS, engine=library, limits=limits))
    except RactoError as error:
        return repr(error.as_dict())


def pid(engine: Literal["pandas", "polars"] = "pandas") -> int:
    """The warm process."""
    if confinement._POOLS[engine].free:
        return confinement._POOLS[engine].free[-1].pid
    assert run_code("result = 1", [], [], engine=engine, limits=LIMITS).value == 1
    return confinement._POOLS[engine].free[-1].pid


def children(parent: int) -> list[int]:
    """The processes it started."""
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(one) for task in tasks for one in task.read_text(encoding="ascii").split()]


def first_child(parent: int) -> int:
    """Waits until there is one."""
    given_up = time.monotonic() + 20
    while not (found := children(parent)):
        assert time.monotonic() < given_up
    return found[0]


def filled(code: str, sandbox: Path, port: int) -> str:
    for name, value in {"{SANDBOX}": sandbox, "{PORT}": port, "{PID}": os.getpid()}.items():
        code = code.replace(name, str(value))
    return code.replace("58777", str(port))


def given() -> list[Any]:
    """The escapes we were given."""
    if not GIVEN.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"{GIVEN} is absent"))]
    lines = map(json.loads, GIVEN.read_text(encoding="utf-8").splitlines())
    return [pytest.param(line, id=line["id"]) for line in lines]


@pytest.mark.parametrize(("engine", "code", "expected"), WORKS)
def test_usual_analyses_give_what_the_library_gives(engine: Any, code: str, expected: object) -> None:
    found = run_code(code, NAMES, ROWS, engine=engine, limits=LIMITS)
    assert (found.rows if found.kind == "table" else found.value) == expected
    if found.kind == "table":
        assert found.value == [dict(zip(found.names, row, strict=True)) for row in found.rows]
    json.dumps(found.value, allow_nan=False)


@pytest.mark.parametrize("line", given())
def test_no_given_escape_gets_out(line: dict[str, Any], sandbox: Path, port: int, monkeypatch: Any) -> None:
    monkeypatch.setenv("CANARYENV", "CANARYENV")
    before = sorted(sandbox.iterdir())
    limits = TIGHT if line["kind"].startswith(("dos", "hang")) else LIMITS
    seen = came_back(filled(line["code"], sandbox, port), line["engine"], limits)
    assert not (line["evidence"] and re.search(line["evidence"], seen))
    assert sorted(sandbox.iterdir()) == before


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda one: one.name)
def test_no_escape_of_our_own_gets_out(escape: Escape, sandbox: Path, port: int, monkeypatch: Any) -> None:
    monkeypatch.setenv("CANARYENV", "CANARYENV")
    before = [(path, path.stat()) for path in sorted(sandbox.iterdir())]
    seen = came_back(filled(escape.code, sandbox, port), escape.engine)
    assert not re.search(escape.evidence, seen)
    assert [(path, path.stat()) for path in sorted(sandbox.iterdir())] == before


def test_the_same_code_gets_out_where_nothing_holds_it(sandbox: Path, port: int, monkeypatch: Any) -> None:
    """Else the tests above would show nothing."""
    monkeypatch.setenv("CANARYENV", "CANARYENV")
    mild = [
        one
        for one in ESCAPES
        if not re.search("fork|clone|signal|Process|program|memory of|attach|remove|cloud", one.name)
    ]
    runner = textwrap.dedent(
        """
        import json, sys
        import numpy as np, pandas as pd, polars as pl
        answers = []
        for engine, code in json.load(sys.stdin):
            with open("canary.txt", "w") as file:
                file.write("CANARYFILE")
            scope = {"pd": pd, "np": np, "pl": pl, "df": (pd if engine == "pandas" else pl).DataFrame({"id": [1]})}
            try:
                exec(code, scope)
                answer = str(scope["result"])
            except BaseException as error:
                answer = repr(error)
            answers.append(answer)
        with open("answers.json", "w") as file:
            json.dump(answers, file)
        """
    )
    codes = [(one.engine, filled(one.code, sandbox, port)) for one in mild]
    subprocess.run([sys.executable, "-c", runner], input=json.dumps(codes), text=True, check=True, cwd=sandbox)
    answers = json.loads((sandbox / "answers.json").read_text(encoding="utf-8"))
    out = {one.name for one, seen in zip(mild, answers, strict=True) if re.search(one.evidence, seen)}
    assert len(out) >= 25, sorted(one.name for one in mild if one.name not in out)


def test_every_other_system_call_is_refused() -> None:
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    allowed = sorted(numbers[column] for numbers in lockdown.COMPUTING.values())
    code = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        result = {{"tried": 0, "not refused": []}}
        lone = {{335, 336}}  # for the kernel's own use on x86: it ends a process that makes them, and asks no filter
        for number in sorted({{*range(600), 0x40000000, 0x40000039}} - {{*{allowed}}} - lone):
            result["tried"] += 1
            if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1:
                result["not refused"].append(number)
    """
    found = run_code(textwrap.dedent(code), [], [], engine="pandas", limits=LIMITS).value
    assert found["tried"] > 540
    assert found["not refused"] == []


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_the_process_itself_has_given_up_as_much_as_it_can(engine: Any) -> None:
    status = dict(
        line.split(":\t") for line in Path(f"/proc/{pid(engine)}/status").read_text(encoding="ascii").splitlines()
    )
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}


@pytest.mark.parametrize(("code", "engine"), GREEDY)
def test_code_that_takes_too_much_is_ended(code: str, engine: str) -> None:
    warm = pid("polars" if engine == "polars" else "pandas")
    began = time.monotonic()
    seen = came_back(code, engine, TIGHT)
    assert time.monotonic() - began < 2.5
    assert re.search("limit|memory|ended with|Unable to allocate|polars", seen), seen
    assert "ESCAPED" not in seen
    assert pid("polars" if engine == "polars" else "pandas") == warm


@pytest.mark.parametrize("code", BROKEN)
def test_code_that_brings_no_answer_is_an_error(code: str) -> None:
    warm = pid()
    with pytest.raises(QueryError) as caught:
        run_code(code, NAMES, ROWS, engine="pandas", limits=LIMITS)
    assert caught.value.hint
    assert len(str(caught.value)) < 4000
    assert "FORGED" not in str(caught.value)
    assert pid() == warm


def test_an_error_names_the_line_and_the_columns() -> None:
    with pytest.raises(QueryError, match=r"line 2: AttributeError: .*'prize'.*id, region, product") as caught:
        run_code("x = 1\nresult = df.prize", NAMES, ROWS, engine="pandas", limits=LIMITS)
    assert "/" not in str(caught.value)


def test_a_run_leaves_nothing_behind_for_the_next() -> None:
    poison = "import builtins, sys\nbuiltins.len = lambda _: 99\npd.DataFrame.sum = lambda *_: 99\nsys.modules['math'] = None\nresult = 1"
    assert run_code(poison, NAMES, ROWS, engine="pandas", limits=LIMITS).value == 1
    after = "import math\nresult = [len(df), float(df[['amount']].sum().iloc[0]), math.floor(1.5)]"
    assert run_code(after, NAMES, ROWS, engine="pandas", limits=LIMITS).value == [5, 73.5, 1]


def test_rows_of_one_run_are_not_in_the_memory_of_the_next() -> None:
    search = """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.sbrk.restype = ctypes.c_void_p
        top, needle, size = libc.sbrk(0), bytes(reversed(b"NUR-TSRIF-FO-TERCES")), 0
        ends = [at for at in range(0, 1 << 27, 4096) if libc.madvise(ctypes.c_void_p(top - (top % 4096) - at - 4096), 4096, 0) != 0]
        size = ends[0] if ends else 1 << 27
        heap = ctypes.string_at(top - (top % 4096) - size, size)
        result = {"searched": size, "found": heap.count(needle), "own": heap.count(bytes(reversed(b"NWO-YM-FO-TERCES")))}
    """
    secret = "SECRET-OF-FIRST-RUN" + "x" * 100
    assert len(run_code("result = df", ["a"], [(secret,)] * 500, engine="pandas", limits=LIMITS).rows) == 500
    own = [("SECRET-OF-MY-OWN" + "y" * 100,)] * 500
    found = run_code(textwrap.dedent(search), ["a"], own, engine="pandas", limits=LIMITS).value
    assert found["searched"] > 2**20
    assert found["own"] > 0
    assert found["found"] == 0


def test_values_arrive_as_the_libraries_compute_with_them() -> None:
    from datetime import datetime, timedelta
    from uuid import UUID

    names = ["big", "bytes", "moment", "span", "id", "nothing", "flag"]
    rows = [
        (2**60 + 1, b"\xff", datetime(2026, 1, 1, 12, 30), timedelta(hours=1), UUID(int=1), None, True),
        (None,) * 7,
    ]
    for engine in ("pandas", "polars"):
        found = run_code("result = df", names, rows, engine=engine, limits=LIMITS)
        assert found.names == names
        assert found.rows[0][0] == 2**60 + 1
        assert found.rows[0][2] == "2026-01-01T12:30:00"
        assert found.rows[0][4:] == [str(UUID(int=1)), None, True]
        assert found.rows[1] == [None] * 7
        assert run_code("result = df", names, [], engine=engine, limits=LIMITS).names == names


def test_more_rows_than_the_limit_are_cut_and_it_is_said() -> None:
    found = run_code("result = df", NAMES, ROWS, engine="pandas", limits=Limits(rows=2))
    assert (found.truncated, [row[0] for row in found.rows]) == (True, [1, 2])


def test_memory_is_limited_above_what_the_library_takes() -> None:
    with_room = run_code("result = len(bytearray(100 * 2**20))", [], [], engine="pandas", limits=LIMITS)
    assert with_room.value == 100 * 2**20
    with pytest.raises(LimitError, match="more than 64 MiB of memory"):
        run_code("bytearray(100 * 2**20)", [], [], engine="pandas", limits=Limits(memory_bytes=64 * 2**20))


def test_a_run_ends_at_its_time_and_its_process_is_gone() -> None:
    warm = pid()
    with pytest.raises(TimeLimitError, match=r"longer than 0\.5 seconds"):
        run_code("while True: pass", [], [], engine="pandas", limits=Limits(seconds=0.5))
    assert children(warm) == []


def test_whoever_waits_may_be_cancelled_and_the_run_ends() -> None:
    warm = pid()

    async def cancelled() -> None:
        task = asyncio.create_task(
            run_code_async("while True: pass", [], [], engine="pandas", limits=Limits(seconds=60))
        )
        await asyncio.to_thread(first_child, warm)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())  # waits for the thread, which waits for the end of the run
    assert children(warm) == []
    assert pid() == warm


def test_a_run_outlives_neither_its_parent_nor_the_server() -> None:
    program = textwrap.dedent(
        """
        import threading
        from racto.tools.sql import confinement
        from racto.tools.sql.policy import Limits
        run = lambda: confinement.run_code("import time\\ntime.sleep(60)", [], [], engine="pandas", limits=Limits(seconds=60))
        threading.Thread(target=run, daemon=True).start()
        input()
        """
    )
    for victim in ("server", "parent"):
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as server:
            parent = first_child(server.pid)
            ends = [os.pidfd_open(one) for one in (parent, first_child(parent))]
            os.kill(server.pid if victim == "server" else parent, signal.SIGKILL)
            for end in ends:
                assert select.select([end], [], [], 10)[0]
                os.close(end)
            server.kill()


def test_a_process_that_left_while_idle_is_replaced() -> None:
    warm = pid()
    end = os.pidfd_open(warm)
    os.kill(warm, signal.SIGKILL)
    assert select.select([end], [], [], 10)[0]
    os.close(end)
    assert run_code("result = 1", [], [], engine="pandas", limits=LIMITS).value == 1
    assert pid() != warm


def test_a_process_that_does_not_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_GRACE_SECONDS", 0.3)
    warm = pid()
    os.kill(warm, signal.SIGSTOP)
    with pytest.raises(QueryError, match="does not answer"):
        run_code("result = 1", [], [], engine="pandas", limits=Limits(seconds=0.3))
    assert run_code("result = 1", [], [], engine="pandas", limits=LIMITS).value == 1


def test_runs_go_side_by_side() -> None:
    codes = [f"result = {number}" for number in range(6)]
    found: dict[str, Any] = {}

    def one(code: str) -> None:
        found[code] = run_code(code, [], [], engine="pandas", limits=LIMITS).value

    threads = [threading.Thread(target=one, args=(code,)) for code in codes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {code: number for number, code in enumerate(codes)}


def test_where_code_cannot_be_confined_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match=r"cannot be confined here; missing: Linux.*SQL instead"):
        run_code("result = 1", [], [], engine="pandas", limits=LIMITS)


@pytest.mark.parametrize(
    ("number", "name"), [(444, "Landlock"), (lockdown._number("seccomp") if not available() else 0, "seccomp")]
)
def test_in_a_container_that_forbids_a_part_of_it_nothing_runs(number: int, name: str) -> None:
    code = FORBIDDING.format(number=number)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"['{name}")
    assert f"cannot be confined here; missing: {name}" in done.stdout
    assert "Analysed" not in done.stdout


def test_a_process_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    confinement.close()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigError, match=r"did not start.*SQL instead"):
        run_code("result = 1", [], [], engine="pandas", limits=LIMITS)
