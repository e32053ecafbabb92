"""Analysis code a model wrote, run where it can do nothing but compute: a process without files, network, programs or time to waste.

Python cannot be made safe from within, so the kernel does it (`lockdown.py`), and where the kernel cannot, nothing runs. Without that, and by
default, a result is analysed by a second guarded query.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from ...knowledge.errors import ConfigError, LimitError, QueryError, TimeLimitError
from . import lockdown
from .policy import Limits
from .wire import pack_rows

Engine = Literal["pandas", "polars"]

ANSWER_BYTES = 8 * 2**20
"""The most an answer may take, whatever the limits say: read into Python, hostile JSON takes thirty times its size."""
CODE_CHARACTERS = 100_000
START_SECONDS = 60.0
"""The longest wait for the process to come up; one or two seconds are usual."""
SIDE_BY_SIDE = min(4, os.cpu_count() or 1)
"""How many runs there are at a time for each library."""

_MESSAGE_CHARACTERS = 2_000
_GRACE_SECONDS = 5.0  # from the kill of a run to word of its end; it takes milliseconds
_INSTEAD = "Analyse with SQL instead, the default: it needs none of this."
_NOTHING_HERE = "There are no files, network, programs or threads here, and nothing to draw with: compute with `df` and set `result`."
_LONE_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89abAB]")


@dataclass(frozen=True, slots=True)
class Analysed:
    """What analysis code came to; all of it is JSON-able.

    :param value: For a table its records, otherwise the value.
    :param kind: `table` has `names` and `rows`; `text` is a string `result`, or what was printed where there was no `result`.
    :param text: What the code printed, cut, and the value where it is no table, as a model reads it.
    :param truncated: The table had more rows than the limit.
    """

    value: Any
    kind: Literal["table", "value", "text"]
    names: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    text: str = ""
    truncated: bool = False


def available() -> list[str]:
    """What this system lacks to confine code; empty when nothing is."""
    return lockdown.missing()


def run_code(
    code: str, names: Sequence[str], rows: Sequence[Sequence[Any]], *, engine: Engine, limits: Limits
) -> Analysed:
    """Run code over a table. It finds the table as `df`, the library as `pd` or `pl`, and sets `result`; blocks until it is done.

    :param names: Of the columns of `df`.
    :param rows: Values as `QueryResult` has them; Decimal arrives as float, UUID as text, a date in pandas as datetime64.
    :raises QueryError: the code failed; the message has its own words.
    :raises LimitError: it took more time, memory or output than `limits`.
    :raises ConfigError: code cannot be confined here, or the library is not installed.
    """
    return _run(code, names, rows, engine, limits, -1)


async def run_code_async(
    code: str, names: Sequence[str], rows: Sequence[Sequence[Any]], *, engine: Engine, limits: Limits
) -> Analysed:
    """The same without blocking; to cancel it ends the run."""
    stop, stopper = os.pipe()
    try:
        return await asyncio.to_thread(_run_and_close, code, names, rows, engine, limits, stop)
    finally:
        os.close(stopper)


def close() -> None:
    """End the processes that run nothing now; the next run starts another."""
    for pool in _POOLS.values():
        while pool.free:
            pool.free.pop().close()


class _Pool:
    """The processes of one library, each made when no other is free."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._room = threading.BoundedSemaphore(SIDE_BY_SIDE)
        self.free: list[_Process] = []

    @contextlib.contextmanager
    def lend(self) -> Iterator[_Process]:
        with self._room:
            process = self._warm() or _Process(self._engine)
            try:
                yield process
            finally:
                if process.alive:
                    self.free.append(process)

    def _warm(self) -> _Process | None:
        while self.free:
            process = self.free.pop()
            if process.alive:
                return process
            process.close()  # it left, having been idle
        return None


_POOLS: dict[Engine, _Pool] = {"pandas": _Pool("pandas"), "polars": _Pool("polars")}


def _run_and_close(code: str, names: Any, rows: Any, engine: Engine, limits: Limits, stop: int) -> Analysed:
    try:
        return _run(code, names, rows, engine, limits, stop)
    finally:
        os.close(stop)


def _run(code: str, names: Any, rows: Any, engine: Engine, limits: Limits, stop: int) -> Analysed:
    lacking = lockdown.missing()
    if lacking:
        raise _cannot_confine(lacking)
    if len(code) > CODE_CHARACTERS:
        raise QueryError(f"The analysis code has {len(code):,} characters.", f"At most {CODE_CHARACTERS:,} are run.")
    data = json.dumps({"code": code, "names": list(names), "columns": pack_rows(rows)}).encode()
    with _POOLS[engine].lend() as process:
        ended = process.run(data, limits, stop)
    return _judged(ended, names, limits)


class _Over(StrEnum):
    """Why a run was ended; `NOTHING` when it ended by itself."""

    NOTHING = ""
    TIME = "time"
    SIZE = "size"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class _Ended:
    """How a run ended.

    :param status: Its exit code, or minus the signal.
    :param over: Why it was ended.
    """

    answer: bytes
    status: int
    over: _Over


class _Process:
    """One process that has the library and forks a child for each run."""

    def __init__(self, engine: Engine) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Threads of the linear algebra library would not survive a fork, and memory set aside for them counts as used.
        environment = {
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "POLARS_MAX_THREADS": "2",
            "MALLOC_ARENA_MAX": "1",
        }
        environment |= dict.fromkeys(("_RJEM_MALLOC_CONF", "JE_ARROW_MALLOC_CONF"), "background_thread:false")
        environment |= {"ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        with theirs:
            self._popen = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", f"{__package__}.confined", engine],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                process_group=0,  # with its children, to be ended together
            )
        self._runs = 0
        atexit.register(self.close)
        self._socket.settimeout(START_SECONDS)
        said = self._message()
        if said is None:
            raise ConfigError(f"The confined process for {engine} did not start.", _INSTEAD)
        if "missing" in said:
            self.close()
            raise _cannot_confine(said["missing"])

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it can run more."""
        return self._socket.fileno() >= 0 and self._popen.poll() is None

    def run(self, data: bytes, limits: Limits, stop: int) -> _Ended:
        """Run once.

        :param stop: A pipe that ends the run when it closes; -1 for none.
        """
        self._runs += 1
        deadline = time.monotonic() + limits.seconds
        try:
            with open(self._start(data, limits), "rb", buffering=0) as answer:  # noqa: PTH123 - a descriptor
                return self._watch(answer.fileno(), limits, deadline, stop)
        except BaseException:
            self.close()  # also when interrupted: its end must not be taken for the next run's
            raise

    def close(self) -> None:
        """End it, with its child."""
        atexit.unregister(self.close)
        if self._popen.returncode is None:  # until then its number is nobody else's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
        self._socket.close()

    def _start(self, data: bytes, limits: Limits) -> int:
        """Send a request; the reading end of the pipe its answer comes by."""
        about = {
            "run": self._runs,
            "memory": limits.memory_bytes,
            "seconds": math.ceil(limits.seconds),
            "rows": limits.rows,
        }
        reader, writer = os.pipe()
        code = os.memfd_create("analysis", os.MFD_CLOEXEC)
        try:
            with open(code, "wb", closefd=False) as file:
                file.write(data)
            os.lseek(code, 0, os.SEEK_SET)
            socket.send_fds(self._socket, [json.dumps(about).encode()], [code, writer])
        except OSError:
            os.close(reader)
            raise QueryError("The confined process is gone.", "Try again.") from None
        finally:
            os.close(code)
            os.close(writer)
        return reader

    def _watch(self, pipe: int, limits: Limits, deadline: float, stop: int) -> _Ended:
        """Collect the answer until there is word of the end; end the run when it is over a limit."""
        most = min(limits.result_bytes, ANSWER_BYTES)
        answer, over = bytearray(), _Over.NOTHING
        waited = select.poll()
        for descriptor in filter(lambda one: one >= 0, (pipe, self._socket.fileno(), stop)):
            waited.register(descriptor, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            ready = dict(waited.poll(max(0.0, left) * 1000))
            if over and not ready:
                raise QueryError("The confined process does not answer.", "Try again.")
            if not over and (left <= 0 or not ready):
                problem = _Over.TIME
            elif stop in ready:
                problem = _Over.CANCELLED
            elif pipe not in ready:
                said = self._message()
                return _Ended(bytes(answer), said["status"] if said else -signal.SIGKILL, over)
            else:
                part = os.read(pipe, 2**20)
                answer += part
                if not part:
                    waited.unregister(pipe)
                if len(answer) <= most:
                    continue
                problem = _Over.SIZE
            over, deadline = problem, time.monotonic() + _GRACE_SECONDS
            waited = select.poll()
            waited.register(self._socket.fileno(), select.POLLIN)
            with contextlib.suppress(OSError):  # it is gone, as it will not say
                self._socket.send(json.dumps({"kill": self._runs}).encode())

    def _message(self) -> dict[str, Any] | None:
        """What it says next; `None` when it is gone."""
        try:
            message = self._socket.recv(65536)
        except OSError:  # it took too long, or left before it had read what we sent
            message = b""
        if not message:
            self.close()
            return None
        said: dict[str, Any] = json.loads(message)
        return said


def _judged(ended: _Ended, names: Sequence[str], limits: Limits) -> Analysed:
    """What a run came to, or the error it is."""
    if ended.over is _Over.CANCELLED:
        raise QueryError("The analysis was cancelled.", "Run it again.")
    if ended.over is _Over.TIME or ended.status == -signal.SIGXCPU:
        raise TimeLimitError(
            f"The analysis took longer than {limits.seconds:g} seconds.",
            "Use the library's operations on whole columns instead of loops.",
        )
    if ended.over is _Over.SIZE:
        raise LimitError("The result of the analysis is too large.", "Aggregate it, or keep fewer rows or columns.")
    if ended.status < 0:
        how = signal.Signals(-ended.status).name
        raise QueryError(f"The analysis ended with {how}: it crashed, or needed too much memory.", _NOTHING_HERE)
    answer = _parsed(ended.answer) if ended.status == 0 else {}
    kind = answer.get("kind")
    if kind == "memory":
        most = f"{limits.memory_bytes / 2**20:,.0f} MiB"
        raise LimitError(f"The analysis needs more than {most} of memory.", "Make fewer or smaller copies of the data.")
    if kind == "error":
        raise _failed(str(answer.get("error")), str(answer.get("message"))[:_MESSAGE_CHARACTERS], names)
    analysed = _analysed(kind, answer, limits)
    if analysed is None:
        raise QueryError("The analysis code broke its own answer.", _NOTHING_HERE)
    return analysed


def _parsed(answer: bytes) -> dict[str, Any]:
    """JSON of a process that is not to be trusted; empty when it is not what an honest one writes."""
    try:
        parsed = {} if _LONE_SURROGATE.search(answer) else json.loads(answer.decode(), parse_constant=_refused)
    except (ValueError, RecursionError):
        parsed = {}
    return parsed if isinstance(parsed, dict) else {}


def _refused(constant: str) -> None:
    raise ValueError(constant)


def _analysed(kind: object, answer: dict[str, Any], limits: Limits) -> Analysed | None:
    """The answer as it is handed on; `None` when it has another shape."""
    value, text = answer.get("value"), answer.get("printed")
    if not isinstance(text, str):
        return None
    if kind == "table":
        names: Any = answer.get("names")
        rows: Any = answer.get("rows")
        if not _is_table(names, rows, limits.rows):
            return None
        records = [dict(zip(names, row, strict=True)) for row in rows]
        return Analysed(records, "table", names, rows, text, answer.get("truncated") is True)
    if kind == "text" and isinstance(value, str):
        return Analysed(value or text, "text", text=text + value)
    if kind == "value":
        return Analysed(value, "value", text=text + json.dumps(value, ensure_ascii=False))
    return None


def _is_table(names: Any, rows: Any, most: int) -> bool:
    return (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
        and isinstance(rows, list)
        and (not most or len(rows) <= most)
        and all(isinstance(row, list) and len(row) == len(names) for row in rows)
    )


def _failed(error: str, message: str, names: Sequence[str]) -> QueryError:
    if error in ("ImportError", "ModuleNotFoundError", "PermissionError", "OSError", "RuntimeError"):
        hint = _NOTHING_HERE
    elif error == "TypeError" and "which is no data" in message:
        hint = "Set `result` to a data frame, a series, a number, a text, a list or a dict."
    else:
        known = ", ".join(names)
        hint = f"Correct the code and set `result`. The columns of `df`: {known if len(known) < 500 else known[:500] + '…'}"
    return QueryError(f"The analysis code failed: {message}", hint)


def _cannot_confine(lacking: Sequence[str]) -> ConfigError:
    return ConfigError(f"Analysis code cannot be confined here; missing: {'; '.join(lacking)}.", _INSTEAD)
