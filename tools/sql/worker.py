"""The process that queries: `python -m …sql.worker`. It has one connection, answers one request at a time and expects to be killed.

The first frame says where to connect to. An answer is `heard`, any number of `rows`, and one `done` or `error`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...knowledge.child_process import KEPT_BYTES, Frame, Parent, data_bytes, encode, set_limits
from ...knowledge.errors import QueryError, RactoError
from .engines import Engine, Target, make
from .engines.fetching import too_big, too_hungry
from .policy import Limits, Policy
from .wire import pack_catalogue, pack_error, pack_rows, unpack_rows

if TYPE_CHECKING:
    from .results import QueryResult

PART_CELLS = 20_000
"""How many values cross in one frame."""


def main() -> None:
    """Serve requests from standard input until it ends."""
    parent = Parent()
    first = parent.next()
    if first is None:
        return
    try:
        engine = make(Target(**first["target"]), Policy(**first["policy"]))
    except RactoError as error:
        parent.send(pack_error(error))
        return
    except Exception as error:  # noqa: BLE001 - whatever a driver trips over, the answer is an error
        parent.send(_unforeseen(error))
        return
    idle_bytes = data_bytes()
    parent.send({"kind": "ready"})
    while data_bytes() <= idle_bytes + KEPT_BYTES and (request := parent.next()):
        parent.send({"kind": "heard"})
        limits = Limits(**request["limits"])
        set_limits(idle_bytes + limits.memory_bytes)
        for data in _answer(engine, request, limits):
            parent.write(data)
        if request["kind"] == "load":
            idle_bytes = data_bytes()  # the tables it was given are not what a query took


def _answer(engine: Engine, request: Frame, limits: Limits) -> Iterator[bytes]:
    """The frames that answer a request, encoded; an error is the last of them."""
    size = 0
    try:
        for frame in _ANSWERS[request["kind"]](engine, request, limits):
            data = encode(frame)
            size += len(data)
            if frame["kind"] == "rows" and size > limits.result_bytes:
                yield encode(pack_error(too_big(limits)))
                return
            yield data
    except MemoryError:
        yield encode(pack_error(too_hungry(limits)))
    except RactoError as error:
        yield encode(pack_error(error))
    except Exception as error:  # noqa: BLE001 - whatever a driver trips over, the answer is an error
        yield encode(_unforeseen(error))


def _unforeseen(error: Exception) -> Frame:
    return pack_error(
        QueryError(f"The database failed in an unforeseen way ({type(error).__name__}).", "Try another query.")
    )


def _run(engine: Engine, request: Frame, limits: Limits) -> Iterator[Frame]:
    result: QueryResult = engine.run(request["sql"], limits)
    columns = result.columns
    part = max(1, PART_CELLS // max(1, len(columns)))
    for start in range(0, len(result.rows), part):
        yield {"kind": "rows", "columns": pack_rows(result.rows[start : start + part])}
    yield {
        "kind": "done",
        "columns": [[column.name, column.type] for column in columns],
        "truncated": result.truncated,
        "seconds": result.seconds,
        "notes": result.notes,
    }


def _explain(engine: Engine, request: Frame, limits: Limits) -> Iterator[Frame]:
    yield {"kind": "done", "plan": engine.explain(request["sql"], limits)}


def _catalogue(engine: Engine, request: Frame, limits: Limits) -> Iterator[Frame]:
    found = engine.catalogue(row_counts=request["row_counts"], samples=request["samples"])
    yield {"kind": "done", "catalogue": pack_catalogue(found)}


def _fingerprint(engine: Engine, request: Frame, limits: Limits) -> Iterator[Frame]:
    yield {"kind": "done", "fingerprint": engine.fingerprint()}


def _load(engine: Engine, request: Frame, limits: Limits) -> Iterator[Frame]:
    engine.load(request["name"], request["names"], unpack_rows(request["columns"]))
    yield {"kind": "done"}


_ANSWERS: dict[str, Callable[[Engine, dict[str, Any], Limits], Iterator[Frame]]] = {
    "run": _run,
    "explain": _explain,
    "catalogue": _catalogue,
    "fingerprint": _fingerprint,
    "load": _load,
}


if __name__ == "__main__":
    main()
