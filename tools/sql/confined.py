"""The process that runs analysis code a model wrote: `python -m …sql.confined pandas|polars`. It expects the code to be hostile.

It imports the library, gives up everything a process can do but compute and fork (`lockdown.py`), and then forks one child for each run, so
that nothing stays behind. The child gives up forking too, has limits of memory, processor time and open files, and three things from outside:
a file with its code and table, a pipe for its answer, and memory shared with nobody. This process touches neither code, table nor answer;
what it never had, the next child cannot find in its memory.

Its standard input is a socket of JSON messages. It says `{"ready": true}` or `{"missing": […]}` once. A request is `{"run": 1, "memory": bytes,
"seconds": s, "rows": n}` with two descriptors, the code's and the answer's; `{"kill": 1}` ends that run early. When a run ended it says `{"run": 1,
"status": s}`: the exit code, or minus the signal. It leaves when its socket is closed, or when nothing comes.
"""

from __future__ import annotations

import gc
import io
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from . import lockdown

STANDARD = frozenset(
    {
        "bisect",
        "calendar",
        "cmath",
        "collections",
        "copy",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
    }
    | {
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "io",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
    }
    | {"statistics", "string", "textwrap", "time", "types", "typing", "unicodedata", "uuid", "zoneinfo"}
)
"""What code may import beside the library itself: imported beforehand, as there are no files afterwards."""

IDLE_SECONDS = 300
"""After this long without a request it leaves."""
_ANSWER = 3
_MESSAGE_BYTES = 4096


def main() -> None:
    """Serve until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, whose end is ours
    engine = sys.argv[1]
    server = socket.socket(fileno=os.dup(0))
    lacking = lockdown.missing()
    if not lacking:
        try:
            _prepare(engine)
        except ImportError as error:
            lacking = [f"{engine} ({error})"]
    if lacking:
        server.send(json.dumps({"missing": lacking}).encode())
        return
    server.settimeout(IDLE_SECONDS)
    size = _size_of_a_child(engine)
    _forget_everything(server)
    lockdown.limit(CORE=0, FSIZE=0, MEMLOCK=0, MSGQUEUE=0)
    lockdown.give_up_everything(lockdown.FORKING)
    server.send(json.dumps({"ready": True}).encode())
    with suppress(TimeoutError):
        _serve(server, engine, size)


def _serve(server: socket.socket, engine: str, size: int) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, _MESSAGE_BYTES, 2)
        if not message:
            return
        request = json.loads(message)
        if "run" not in request:
            continue  # the run it would end has ended
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            _run(engine, request, size, descriptors, parent)
        for descriptor in descriptors:
            os.close(descriptor)
        status = _ended(server, child)
        if status is None:
            return
        server.send(json.dumps({"run": request["run"], "status": status}).encode())


def _ended(server: socket.socket, child: int) -> int | None:
    """How a child ended, killed when the server says or closes; `None` when it closed."""
    here = True
    watched = os.pidfd_open(child)
    try:
        waited = select.poll()
        waited.register(server, select.POLLIN)
        waited.register(watched, select.POLLIN)
        if server.fileno() in dict(waited.poll()):
            here = bool(server.recv(_MESSAGE_BYTES))
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(watched)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if here else None


def _run(engine: str, request: dict[str, Any], size: int, descriptors: list[int], parent: int) -> None:
    """All of a child's life. It does not return."""
    try:
        lockdown.die_with_parent(parent)
        code, answer = descriptors
        os.dup2(code, 0)
        os.dup2(answer, _ANSWER)
        os.closerange(1, _ANSWER)
        os.closerange(_ANSWER + 1, 2**20)
        if engine == "polars":
            _start_threads()
        seconds = int(request["seconds"]) + 1
        lockdown.limit(AS=size + request["memory"], CPU=seconds, NOFILE=0, NPROC=0)
        lockdown.allow_only(lockdown.COMPUTING)
        from .analysing import analyse

        with open(0, "rb") as file:
            data = file.read()
        answered = analyse(data, engine, request["rows"])
        while answered:
            answered = answered[os.write(_ANSWER, answered) :]
    except BaseException:  # noqa: BLE001 - a child must never come back to where it was forked
        os._exit(1)
    os._exit(0)


def _prepare(engine: str) -> None:
    """Import what code may use, before files are out of reach."""
    warnings.simplefilter("ignore")
    library = import_module(engine)
    for name in (*STANDARD, "array", "ctypes", "resource", f"{__package__}.analysing"):
        import_module(name)
    with suppress(ImportError):  # polars does without
        for part in ("", ".fft", ".linalg", ".ma", ".polynomial", ".random"):
            import_module(f"numpy{part}")
    for module in pkgutil.walk_packages(library.__path__, f"{engine}.", onerror=lambda _: None):
        if not any(part in ("tests", "_testing", "testing", "plotting", "conftest") for part in module.name.split(".")):
            with suppress(Exception):  # a module for another library that is not here
                import_module(module.name)
    _hold_time_zones()
    if engine == "pandas":
        _use_pandas(library)


def _hold_time_zones() -> None:
    """Have the rules of all time zones in memory, where both implementations of `zoneinfo`, pandas using both, ask when there is no file."""
    from zoneinfo import _common, _tzpath, available_timezones

    rules = {}
    for name in available_timezones():
        path = _tzpath.find_tzfile(name)
        rules[name] = Path(path).read_bytes() if path else _common.load_tzdata(name).read()
    _common.load_tzdata = lambda key: io.BufferedReader(io.BytesIO(rules[key]))


def _use_pandas(pd: Any) -> None:
    """Do the usual things once: the first time of each reads files or takes long."""
    df = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=4), "kind": ["a", "b", "a", "b"], "n": [1, 2, 3, 4]})
    grouped = df.groupby("kind", as_index=False).agg({"n": "sum"})
    df.merge(grouped, on="kind").sort_values("n_x").pivot_table(index="kind", values="n_x")
    df.set_index("day").resample("D").n.sum().rolling(2).mean()
    df.kind.str.upper().value_counts()
    df.day.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin").dt.strftime("%Y")
    df.query("n > 1").describe().to_string()


def _start_threads() -> None:
    """Have polars start its threads; none can be started later. They do not survive a fork, so this is done in each child."""
    import polars as pl

    df = pl.DataFrame({"kind": ["a", "b"], "n": [1, 2]})
    df.group_by("kind").agg(pl.col("n").sum())
    df.lazy().filter(pl.col("n") > 1).sort("n").collect(engine="streaming")


def _size_of_a_child(engine: str) -> int:
    """The address space of a child that has done nothing yet, in bytes: measured, while files can be read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if engine == "polars":
            _start_threads()
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        os.write(writer, str(int(pages) * os.sysconf("SC_PAGE_SIZE")).encode())
        os._exit(0)
    os.close(writer)
    size = int(os.read(reader, 32))
    os.close(reader)
    os.waitpid(child, 0)
    return size


def _forget_everything(server: socket.socket) -> None:
    """Leave to the children no environment, no path to import from, and no open file but the socket, which each closes."""
    os.environ.clear()
    sys.argv[:] = [""]
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.stdin = sys.stdout = sys.stderr = None  # as Python does itself where there are none
    kept = server.fileno()
    os.closerange(0, kept)
    os.closerange(kept + 1, 2**20)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at


if __name__ == "__main__":
    main()
