"""A database asked in processes of its own: a query that takes too long or too much ends its process, and nothing else."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...knowledge.child_process import Frame
from ...knowledge.errors import LimitError, QueryError, RactoError
from ...knowledge.processes import START_SECONDS, Process
from .catalogue import Catalogue
from .engines import Target
from .engines.fetching import too_slow
from .policy import Limits, Policy
from .results import QueryResult, ResultColumn
from .wire import pack_rows, unpack_catalogue, unpack_error, unpack_rows

SIDE_BY_SIDE = 2
"""How many queries of one connection run at a time, each in a process of its own; more wait their turn."""
GRACE_SECONDS = 0.5
"""How long after its time limit a query may say so itself before its process is killed."""
QUERY_CHARACTERS = 1_000_000
"""The longest query; SQLite takes none that is longer."""
INTROSPECTION = Limits(seconds=60.0, rows=0, result_bytes=256 * 2**20)
"""What reading a schema, or bringing rows, may take."""

_PROGRAM = f"{__package__}.worker"
# What drivers read besides what every Python needs: the time zone, and whom to trust.
_ENVIRONMENT = ("TZ", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_FRAMING_BYTES = 2**20


class Connection:
    """One database, and the processes that ask it: the first starts with the first question, idle ones leave. Threads may share it.

    Memory is limited on Linux; elsewhere only as far as the engine limits itself, as DuckDB does.

    :param target: Where the database is.
    :param policy: What the engine refuses by itself, where it can.
    """

    def __init__(self, target: Target, policy: Policy) -> None:
        self.target = target
        self.policy = policy
        self._room = threading.Condition()
        self._calls: set[_Call] = set()
        self._busy = 0
        self._free: list[_Worker] = []
        self._tables: dict[str, Frame] = {}

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """Everything that is in the database, unfiltered.

        :param samples: How many distinct values of each column to bring along; never of what the policy blocks or masks.
        :raises QueryError: the database failed; `ConfigError`: it cannot be opened.
        """
        done, _ = self._ask({"kind": "catalogue", "row_counts": row_counts, "samples": samples}, INTROSPECTION)
        return unpack_catalogue(done["catalogue"])

    def fingerprint(self) -> str:
        """Of the schema as it is now."""
        done, _ = self._ask({"kind": "fingerprint"}, INTROSPECTION)
        return str(done["fingerprint"])

    def run(self, sql: str, limits: Limits, *, token: object = None) -> QueryResult:
        """The rows of one query.

        :param token: What `cancel` knows it by.
        :raises QueryError: the database refused or failed, or the query was cancelled.
        :raises LimitError: a limit was reached; rows over `limits.rows` are no error but `truncated`.
        """
        _check_length(sql)
        done, rows = self._ask({"kind": "run", "sql": sql}, limits, token)
        return QueryResult(
            columns=[ResultColumn(*column) for column in done["columns"]],
            rows=rows,
            sql=sql,
            truncated=done["truncated"],
            seconds=done["seconds"],
            notes=done["notes"],
        )

    def explain(self, sql: str, limits: Limits, *, token: object = None) -> str:
        """How the database would go about a query, in its own words; it is not run."""
        _check_length(sql)
        done, _ = self._ask({"kind": "explain", "sql": sql}, limits, token)
        return str(done["plan"])

    def load(self, name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Make rows a table of that name, in every process of this connection; only DuckDB in memory can.

        :raises InputError: this engine cannot.
        """
        before = self._tables.get(name)
        frame: Frame = {"kind": "load", "name": name, "names": list(names), "columns": pack_rows(rows)}
        self._tables[name] = frame
        try:
            self._ask(None, INTROSPECTION)
        except BaseException:
            self._tables.pop(name)
            if before is not None:
                self._tables[name] = before
            raise

    def cancel(self, token: object = None) -> None:
        """End the queries that were started with `token`, or all of them; each raises `QueryError` in its own thread."""
        with self._room:
            for call in self._calls:
                if token is None or call.token is token:
                    call.cancelled = True
                    if call.worker:
                        call.worker.killed = True
                        call.worker.process.kill()
            self._room.notify_all()

    def close(self) -> None:
        """End every process and query; the next question starts another."""
        self.cancel()
        with self._room:
            idle, self._free = self._free, []
        for worker in idle:
            worker.process.stop()

    @property
    def pids(self) -> list[int]:
        """The processes that are there now."""
        with self._room:
            busy = [call.worker for call in self._calls if call.worker]
            return [worker.process.pid for worker in (*self._free, *busy)]

    def _ask(self, request: Frame | None, limits: Limits, token: object = None) -> tuple[Frame, list[tuple[Any, ...]]]:
        call = _Call(token)
        with self._room:
            self._calls.add(call)
            try:
                self._room.wait_for(lambda: call.cancelled or self._busy < SIDE_BY_SIDE)
            except BaseException:
                self._calls.remove(call)
                raise
            self._busy += 1
        try:
            return self._ask_worker(call, request, limits)
        finally:
            with self._room:
                self._calls.remove(call)
                self._busy -= 1
                if call.worker:
                    self._free.append(call.worker)
                self._room.notify()

    def _ask_worker(self, call: _Call, request: Frame | None, limits: Limits) -> tuple[Frame, list[tuple[Any, ...]]]:
        for _ in range(SIDE_BY_SIDE + 1):  # of those that wait for work each may have left
            worker = self._worker_for(call)
            try:
                return worker.ask(request, self._tables, limits)
            except _LeftError:
                self._drop(call)
            except (_EndedError, queue.Empty) as end:
                self._drop(call)
                if call.cancelled:
                    raise _cancelled() from None
                raise end.error if isinstance(end, _EndedError) else too_slow(limits) from None
            except RactoError:
                raise  # an answer like another one: the process stays
            except BaseException:
                self._drop(call)  # a late answer must not be taken for the next question's
                raise
        raise QueryError("The process that queries keeps leaving.", "Try again.")

    def _worker_for(self, call: _Call) -> _Worker:
        with self._room:
            if call.cancelled:
                raise _cancelled()
            while self._free:
                worker = self._free.pop()  # the last one used: those there is no work for stay idle, and leave
                if worker.process.exit_code is None and not worker.killed:
                    break
                worker.process.stop()
            else:
                worker = _Worker(self.target, self.policy)
            call.worker = worker
            return worker

    def _drop(self, call: _Call) -> None:
        with self._room:
            worker, call.worker = call.worker, None
        if worker:
            worker.process.stop()


@dataclass(eq=False)
class _Call:
    """A question under way."""

    token: object
    cancelled: bool = False
    worker: _Worker | None = None


class _LeftError(Exception):
    """The process had been idle, and left before it heard the question."""


class _EndedError(Exception):
    """The process ended before it had answered."""

    def __init__(self, error: RactoError) -> None:
        super().__init__(error.message)
        self.error = error


class _Worker:
    """One process with one connection, and which of the tables it has been given."""

    def __init__(self, target: Target, policy: Policy) -> None:
        try:
            self.process = Process(_PROGRAM, _ENVIRONMENT)
        except OSError as error:
            raise _not_started(str(error)) from None
        self.killed = False
        """By `cancel`; nobody asks it again."""
        self._heard = False
        self._tables: dict[str, Frame] = {}
        allowed = policy.allowed_tables
        self.process.send(
            {
                "target": {**asdict(target), "files": dict(target.files), "options": dict(target.options)},
                "policy": {
                    "allowed_tables": None if allowed is None else list(allowed),
                    "blocked_columns": list(policy.blocked_columns),
                    "mask_columns": list(policy.mask_columns),
                },
            }
        )

    def ask(
        self, request: Frame | None, tables: dict[str, Frame], limits: Limits
    ) -> tuple[Frame, list[tuple[Any, ...]]]:
        """The last frame of the answer, and the rows before it.

        :raises _LeftError: it had left.
        :raises _EndedError: it died; `queue.Empty`: it took too long. In both cases it is of no further use.
        """
        if not self.process.ready:
            self._wait(time.monotonic() + START_SECONDS)
        answer: tuple[Frame, list[tuple[Any, ...]]] = ({}, [])
        for name, frame in list(tables.items()):
            if self._tables.get(name) is not frame:
                self._exchange(frame, INTROSPECTION)
                self._tables[name] = frame
        return answer if request is None else self._exchange(request, limits)

    def _exchange(self, request: Frame, limits: Limits) -> tuple[Frame, list[tuple[Any, ...]]]:
        deadline = time.monotonic() + limits.seconds + GRACE_SECONDS
        self.process.send({**request, "limits": asdict(limits)}, limits.result_bytes + _FRAMING_BYTES)
        rows: list[tuple[Any, ...]] = []
        self._heard = False
        while (frame := self._wait(deadline)).get("kind") in ("heard", "rows"):
            if frame["kind"] == "heard":
                self._heard = True
                continue
            try:
                rows += unpack_rows(frame["columns"])
            except (ValueError, LookupError):
                raise _EndedError(QueryError("The process that queries gave an answer that is none.")) from None
        return frame, rows

    def _wait(self, deadline: float) -> Frame:
        process = self.process
        frame = process.next(deadline - time.monotonic())
        if frame is None:
            if process.ready and not self._heard:
                raise _LeftError
            raise _EndedError(self._explain_end())
        if frame.get("kind") != "error":
            return frame
        if not process.ready:
            raise _EndedError(unpack_error(frame))  # it has no connection, and leaves
        raise unpack_error(frame)

    def _explain_end(self) -> RactoError:
        process = self.process
        if not process.ready:
            return _not_started(process.ending)
        return LimitError(
            f"The query ended its process with {process.ending}: most likely it needed too much memory.",
            "Ask for less, or in another way.",
        )


def _check_length(sql: str) -> None:
    if len(sql) > QUERY_CHARACTERS:
        raise LimitError(f"The query is longer than {QUERY_CHARACTERS:,} characters.", "Write a shorter one.")


def _cancelled() -> QueryError:
    return QueryError("The query was cancelled.")


def _not_started(reason: str) -> QueryError:
    return QueryError(
        f"The process that queries did not start ({reason}).", f"Run `{sys.executable} -P -m {_PROGRAM}` to see why."
    )
