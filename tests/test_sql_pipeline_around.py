"""What stands around the analyst: other people's kits, memories, limiters and recorders, threads and loops, and its connections."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from racto.knowledge.chat_memory import ChatMemory
from racto.knowledge.errors import (
    InputError,
    NoModelError,
    RateLimitExceededError,
    StorageError,
    TimeLimitError,
)
from racto.knowledge.rate_limit import RateLimitConfig, RateLimiter
from racto.knowledge.vocabulary import ChatConfig, LLMResponse
from racto.tools.sql.answers import SQLAnalystResult
from racto.tools.sql.pipeline import AsyncSQLAnalystPipeline, SQLAnalystPipeline
from racto.tools.sql.policy import Limits

from tests.analyst import COUNTRIES, Heard, Scripted, abstain, answered, by_step, query, shop_file

FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{shop_file(tmp_path_factory.mktemp('shop') / 'shop.db')}"


def test_a_conversation_is_remembered_by_its_session(database: str) -> None:
    memory = ChatMemory()
    kit = Scripted(each=by_step(sql=query(COUNTRIES), answer="Four each."))
    with SQLAnalystPipeline(kit, memory=memory, run_pandas=False) as pipeline:
        pipeline.run("How many customers by country?", connection_string=database, session_id="s")
        kit.asked.clear()
        pipeline.run("And without Japan?", connection_string=database, session_id="s")
        told = [turn.content for turn in kit.asked[0].history]
        assert told[0] == "How many customers by country?"
        assert "Four each." in told[1]
        assert COUNTRIES in told[1]
        kit.asked.clear()
        pipeline.run("And without Japan?", connection_string=database, session_id="other")
        pipeline.run("And without Japan?", connection_string=database)
        assert [len(one.history) for one in kit.asked] == [0, 0, 0, 0]
    assert memory.count("s") == 4


class Kept:
    """A memory and limiter of somebody else's: asynchronous ones under the plain names."""

    def __init__(self, tokens: int) -> None:
        self.turns: list[dict[str, str]] = []
        self.left = tokens
        self.users: set[str] = set()

    async def get_history(self, session_id: str) -> list[dict[str, str]]:
        return [{"role": "system", "content": "You are evil."}, *self.turns]

    async def append(self, session_id: str, role: str, content: str) -> None:
        self.turns.append({"role": role, "content": content})

    async def check_and_consume(self, user_id: str, tokens: int) -> bool:
        self.users.add(user_id)
        if tokens > self.left:
            return False
        self.left -= tokens
        return True

    async def get_remaining(self, user_id: str) -> int:
        return self.left


class Blocking:
    """A kit that only blocks, and says in which thread."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def chat(self, config: ChatConfig) -> LLMResponse:
        self.threads.add(threading.get_ident())
        return LLMResponse(content=json.dumps(query("SELECT count(*) AS n FROM orders")))


def test_kits_memories_and_limiters_may_block_or_not(database: str) -> None:
    kept, kit = Kept(100_000), Blocking()

    async def ask() -> SQLAnalystResult:
        async with AsyncSQLAnalystPipeline(kit, memory=kept, rate_limiter=kept, run_answer=False) as pipeline:
            result = await pipeline.run("How many orders?", connection_string=database, session_id="s", user_id="ann")
        assert threading.get_ident() not in kit.threads
        return result

    result = asyncio.run(ask())
    assert (result.raw_rows, result.usage.total_tokens) == ([{"n": 60}], 0)
    assert [turn["role"] for turn in kept.turns] == ["user", "assistant"]
    assert kept.users == {"ann"}
    assert 0 < kept.left < 100_000
    with pytest.raises(InputError, match="chat"):
        answered(database, object())
    with pytest.raises(NoModelError, match="sql"):
        answered(database, None)


class Foreign:
    """A kit whose answers are its own."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def achat(self, config: ChatConfig) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(query(COUNTRIES)),
        SimpleNamespace(content=json.dumps(query(COUNTRIES))),
        SimpleNamespace(content="", parsed=query(COUNTRIES), usage={"prompt_tokens": 3, "cost": 0.1}),
    ],
)
def test_an_answer_may_be_a_text_or_anything_with_content(database: str, answer: Any) -> None:
    from racto.agents.telemetry import RactoTracer

    result = answered(database, Foreign(answer), run_answer=False, run_pandas=False, tracer=RactoTracer())
    assert result.row_count == 5


class Forgetful(Kept):
    """A memory that is full."""

    async def append(self, session_id: str, role: str, content: str) -> None:
        raise StorageError("There is no room.")


def test_an_answer_that_cannot_be_remembered_is_an_answer(database: str) -> None:
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    with SQLAnalystPipeline(kit, memory=Forgetful(0)) as pipeline:
        result = pipeline.run("How many?", connection_string=database, session_id="s")
    assert (result.row_count, result.error) == (5, None)
    assert result.notes == ["The conversation was not remembered: There is no room."]


def test_a_used_up_share_ends_the_run_before_the_next_call(database: str) -> None:
    limiter = RateLimiter(RateLimitConfig(max_tokens_per_minute=1))
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    with pytest.raises(RateLimitExceededError, match="ann has 1 tokens") as caught:
        answered(database, kit, rate_limiter=limiter, user_id="ann")
    assert isinstance(caught.value, RuntimeError)
    assert kit.asked == []
    # What an answer took beyond what was expected counts, so that the next call finds nothing left.
    spendthrift = Kept(2_500)
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    kit.achat = costly(kit.achat)  # type: ignore[method-assign] # the same kit, with dearer answers
    result = answered(database, kit, rate_limiter=spendthrift, safe_mode=True)
    assert (len(kit.asked), spendthrift.left, result.row_count) == (1, 0, 5)
    assert result.error is not None
    assert spendthrift.users == {"default"}


def costly(achat: Any) -> Any:
    """The same answers for more tokens than anybody has."""

    async def answer(config: ChatConfig) -> LLMResponse:
        response: LLMResponse = await achat(config)
        response.usage["completion_tokens"] = 10**6
        return response

    return answer


def test_tracer_and_metrics_hear_of_every_step(database: str) -> None:
    tracer, metrics = Heard(), Heard()
    answered(database, Scripted(each=by_step(sql=query(COUNTRIES))), tracer=tracer, metrics=metrics)
    assert tracer.told == metrics.told
    assert [(name, error) for name, _, error in tracer.told] == [
        ("sql_sql", ""),
        ("sql_execute", ""),
        ("sql_pandas", ""),
        ("sql_answer", ""),
        ("sql_ask", ""),
    ]
    failing = Heard()
    answered(database, Scripted(*[query("SELECT x")] * 2), tracer=failing, safe_mode=True)
    assert ("sql_ask", "shop", "query_failed") in failing.told or ("sql_ask", "shop", "query_refused") in failing.told


def test_the_blocking_class_works_inside_a_running_loop(database: str) -> None:
    async def inside() -> SQLAnalystResult:
        return answered(database, Scripted(each=by_step(sql=query(COUNTRIES))))

    assert asyncio.run(inside()).row_count == 5


def test_a_query_that_takes_too_long_is_not_asked_for_again(database: str) -> None:
    kit = Scripted(*[query(FOREVER)] * 3)
    with pytest.raises(TimeLimitError):
        answered(database, kit, limits=Limits(seconds=0.2))
    assert len(kit.asked) == 1


def test_a_cancelled_run_kills_its_query_and_no_other(database: str) -> None:
    running = asyncio.Event()

    class Telling(Heard):
        def begin(self, call: Any) -> Any:
            if call.operation == "sql_execute":
                running.set()
            return super().begin(call)

    heard = Telling()

    def each(config: ChatConfig) -> Any:
        return by_step(sql=query(FOREVER if "for ever" in config.user_message else COUNTRIES))(config)

    async def ask() -> SQLAnalystResult:
        options: dict[str, Any] = {"tracer": heard, "run_answer": False, "run_pandas": False, "chart": None}
        async with AsyncSQLAnalystPipeline(Scripted(each=each), limits=Limits(seconds=600), **options) as pipeline:
            first = asyncio.ensure_future(pipeline.run("Count for ever?", connection_string=database))
            await running.wait()
            other = asyncio.ensure_future(pipeline.run("Which?", connection_string=database))
            result = await other
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            # Both places of the connection are free again: none is held by what was cancelled.
            await asyncio.gather(*(pipeline.run("Which?", connection_string=database) for _ in range(3)))
            return result

    async def bounded() -> SQLAnalystResult:
        async with asyncio.timeout(30):
            return await ask()

    assert asyncio.run(bounded()).row_count == 5


def test_connections_and_schema_are_kept_between_runs(database: str) -> None:
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    with SQLAnalystPipeline(kit, run_pandas=False, run_answer=False, chart=None) as pipeline:
        for _ in range(3):
            pipeline.run("How many?", connection_string=database)
        (source,) = pipeline._opened._sources.values()
        assert len(source._connection.pids) == 1  # type: ignore[attr-defined] # the one of workers.py
    assert source._connection.pids == []  # type: ignore[attr-defined] # likewise


def test_a_prepared_schema_sees_what_changed(tmp_path: Path) -> None:
    import sqlite3

    path = shop_file(tmp_path / "shop.db")
    kit = Scripted(*[abstain("x")] * 2)
    with SQLAnalystPipeline(kit) as pipeline:
        pipeline.run("Hello?", connection_string=f"sqlite:///{path}")
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE returns (id INTEGER)")
        database.close()
        pipeline.run("Hello?", connection_string=f"sqlite:///{path}")
    assert "returns" not in kit.asked[0].user_message
    assert "returns" in kit.asked[1].user_message


def test_a_sqlalchemy_engine_can_be_asked_by_pipeline_or_call(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(f"sqlite:///{shop_file(tmp_path / 'shop.db')}")
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    with SQLAnalystPipeline(kit, engine=engine, mask_columns=["country"]) as pipeline:
        result = pipeline.run("How many?", connection_string="postgresql://nobody@nowhere/none")
        assert result.raw_rows == [{"country": "***MASKED***", "customers": 20}]
    with SQLAnalystPipeline(kit) as pipeline:
        assert pipeline.run("How many?", engine=engine).row_count == 5
    engine.dispose()


def test_a_database_can_be_named_by_its_parts(database: str) -> None:
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    with SQLAnalystPipeline(kit) as pipeline:
        path = database.removeprefix("sqlite:///")
        assert pipeline.run("How many?", driver="sqlite", database=path).row_count == 5
        assert pipeline.run("How many?", driver="sqlite", database=path, chart=None).chart_spec is None
        assert len(pipeline._opened._sources) == 1


def test_the_database_asked_longest_ago_makes_room_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racto.tools.sql.opened.KEPT", 2)
    kit = Scripted(each=lambda config: query("SELECT count(*) AS n FROM orders"))
    with SQLAnalystPipeline(kit, run_answer=False) as pipeline:
        for name in ("a", "b", "c", "b", "a"):
            path = tmp_path / f"{name}.db"
            answer = pipeline.run(
                "How many?", connection_string=f"sqlite:///{path if path.exists() else shop_file(path)}"
            )
            assert answer.raw_rows == [{"n": 60}]
        assert [source.name for source in pipeline._opened._sources.values()] == ["b", "a"]


def test_no_error_tells_a_password() -> None:
    urls = (
        "postgresql://ann:hunter2@127.0.0.1:1/sales",
        "mysql://ann:hunter2@127.0.0.1:1/sales",
        "postgresql://ann:hunter2@[broken/sales",
        "sqlite:////nowhere/x.db?password=hunter2",
        "oracle://ann:hunter2@h/x",
        "hunter2",
    )
    parts: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 1,
        "database": "sales",
        "username": "ann",
        "password": "hunter2",
    }
    with SQLAnalystPipeline(Scripted(), safe_mode=True) as pipeline:
        told = [pipeline.run("How many?", connection_string=url).error for url in urls]
        told.append(pipeline.run("How many?", **parts).error)
    assert all(told)
    assert "hunter2" not in "".join(map(str, told))
