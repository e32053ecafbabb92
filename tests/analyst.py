"""What tests of the SQL analyst share: a model that says what it is told to, and the shop database with its canaries."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from racto.knowledge.vocabulary import ChatConfig, LLMResponse
from racto.tools.sql.answers import SQLAnalystResult
from racto.tools.sql.pipeline import SQLAnalystPipeline

from tests.dialects.openai import OpenAI
from tests.dialects.server import Line

SQL_DATA = Path(__file__).parents[2] / "shared" / "data" / "sql"
CANARIES = ("canary", "987650", "987651")
"""What no protected value of the shop lacks, in lower case: texts hold the word, salaries begin with these digits."""
COUNTRIES = "SELECT country, count(*) AS customers FROM customers GROUP BY country ORDER BY country"
"""A query over the shop that has five rows."""
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}

Answer = str | Mapping[str, Any] | Exception


def query(sql: str, *assumptions: str) -> dict[str, Any]:
    """What a model answers that knows a query."""
    return {"action": "query", "sql": sql, "missing": "", "question": "", "assumptions": list(assumptions)}


def abstain(missing: str) -> dict[str, Any]:
    """What a model answers that finds something missing."""
    return {"action": "abstain", "sql": "", "missing": missing, "question": "", "assumptions": []}


def code(text: str) -> dict[str, Any]:
    """What a model answers that wants to analyse the rows so."""
    return {"code": text}


class Scripted:
    """A kit whose answers are written down: the next of a list, or what a function makes of the call. It keeps what it was asked."""

    provider = "scripted"
    model = "script"

    def __init__(self, *answers: Answer, each: Callable[[ChatConfig], Answer] | None = None) -> None:
        self._answers = iter(answers)
        self._each = each
        self.asked: list[ChatConfig] = []

    async def achat(self, config: ChatConfig) -> LLMResponse:
        """The next answer."""
        self.asked.append(config)
        answer = self._each(config) if self._each else next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return LLMResponse(content=text, usage=dict(USAGE), provider="scripted", model="script")

    @property
    def seen(self) -> str:
        """Every word it was given."""
        return "\n".join(words(config) for config in self.asked)


def words(config: ChatConfig) -> str:
    """What a model reads of a call."""
    assert config.prompt is not None
    return "\n".join([config.prompt.compile(), *(turn.content for turn in config.history), config.user_message])


def step_of(config: ChatConfig) -> str:
    """`sql`, `pandas` or `answer`, by the form the answer must have."""
    assert config.prompt is not None
    form = config.prompt.output_format
    if not isinstance(form, dict):
        return "answer"
    return "sql" if "sql" in form["properties"] else "pandas"


def by_step(**answers: Answer) -> Callable[[ChatConfig], Answer]:
    """An answer for each step: `sql`, `pandas` (by default none is needed), `answer`."""
    return lambda config: {"pandas": code(""), "answer": "Here it is.\n\n[[table]]", **answers}[step_of(config)]


class ScriptedServer(OpenAI):
    """A server of OpenAI's dialect whose model says what it is told to; `received` is what came over the wire."""

    def __init__(self, each: Callable[[str, dict[str, Any]], Answer]) -> None:
        super().__init__()
        self._each = each

    async def respond(self, scenario: str, body: dict[str, Any], line: Line) -> None:
        """By step, as `step_of` tells it."""
        form = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        answer = self._each("sql" if "sql" in form else "pandas" if form else "answer", body)
        await line.json(
            {
                "id": "c",
                "object": "chat.completion",
                "created": 1,
                "model": scenario,
                "choices": [
                    {
                        "index": 0,
                        "message": {
                            "role": "assistant",
                            "content": answer if isinstance(answer, str) else json.dumps(answer),
                        },
                        "finish_reason": "stop",
                    }
                ],
                "usage": USAGE,
            }
        )


def shop() -> ModuleType:
    """The module that describes the shop."""
    path = SQL_DATA / "shop.py"
    if not path.exists():
        pytest.skip(f"there is no {path}")
    spec = importlib.util.spec_from_file_location("shop", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(
    execute: Callable[[str], Any], insert: Callable[[str, Iterable[tuple[Any, ...]]], Any], dialect: str, mark: str
) -> None:
    """Make the shop in a database.

    :param mark: What stands for a value in an INSERT of its driver.
    """
    module = shop()
    for statement in module.ddl(dialect):
        execute(statement)
    for table, rows in module.rows().items():
        marks = ", ".join([mark] * len(module.TABLES[table]))
        insert(f"INSERT INTO {table} VALUES ({marks})", rows)


def shop_file(path: Path) -> Path:
    """The shop as a SQLite file."""
    with sqlite3.connect(path) as database:
        fill(database.execute, database.executemany, "sqlite", "?")
    database.close()
    return path


def answered(database: str, kit: Any, **options: Any) -> SQLAnalystResult:
    """One question, one answer, and the end."""
    with SQLAnalystPipeline(kit, **options) as pipeline:
        return pipeline.run("How many customers are there in each country?", connection_string=database)


class Heard:
    """A recorder of somebody's own."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def begin(self, call: Any) -> Any:
        return lambda: self.told.append((call.operation, call.model, call.error))

    def retried(self, provider: str, model: str, code: str) -> None:
        raise AssertionError

    def looked_up(self, cache: str, hit: bool) -> None:
        raise AssertionError

    def discovered(self, provider: str, model: str, parameter: str) -> None:
        raise AssertionError
