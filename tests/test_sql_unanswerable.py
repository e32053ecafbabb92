"""Questions no database of theirs can answer, 105 of them: nothing is run, and the answer says what is missing."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from typing import Any

import pytest
from racto.knowledge.vocabulary import ChatConfig
from racto.tools.sql.answers import SQLAnalystResult
from racto.tools.sql.pipeline import AsyncSQLAnalystPipeline

from tests.analyst import SQL_DATA, Answer, Heard, Scripted, abstain, query

DEFOG = SQL_DATA / "defog"

pytestmark = pytest.mark.skipif(not DEFOG.exists(), reason=f"there is no {DEFOG}")


def questions() -> list[dict[str, str]]:
    """All of them."""
    return [json.loads(line) for line in (DEFOG / "unanswerable.jsonl").read_text().splitlines()]


def missing(question: str) -> str:
    """What this model finds missing for a question: its longest word, which tells the answers apart."""
    longest = max(re.findall(r"\w+", question), key=len)
    return f"it holds nothing about {longest}."


def asked_in(config: ChatConfig) -> str:
    """The question of a call."""
    found = re.search(r"^Question: (.*)$", config.user_message, re.MULTILINE)
    assert found is not None
    return found[1]


def ask_all(kit: Scripted, heard: Heard) -> list[tuple[str, SQLAnalystResult]]:
    """Every question, asked its database in the same pipeline."""

    async def ask() -> list[tuple[str, SQLAnalystResult]]:
        answered = []
        async with AsyncSQLAnalystPipeline(kit, tracer=heard) as pipeline:
            by_database = defaultdict(list)
            for each in questions():
                by_database[each["db"]].append(each["question"])
            for name, several in by_database.items():
                database = f"sqlite:///{DEFOG / 'sqlite' / name}.sqlite"
                answered += [(one, await pipeline.run(one, connection_string=database)) for one in several]
        return answered

    return asyncio.run(ask())


def test_a_model_that_abstains_has_nothing_run_and_the_answer_says_what_is_missing() -> None:
    heard = Heard()
    answered = ask_all(Scripted(each=lambda config: abstain(missing(asked_in(config)))), heard)
    assert len(answered) == 105
    for question, result in answered:
        assert result.abstained
        assert (result.sql_query, result.columns, result.raw_rows, result.chart_spec) == ("", [], [], None)
        assert result.answer is not None
        assert result.answer.startswith("This cannot be answered from the database ")
        assert result.answer.endswith(missing(question))
        assert (result.attempts, result.error) == (1, None)
    assert [name for name, _, _ in heard.told].count("sql_sql") == 105
    assert "sql_execute" not in {name for name, _, _ in heard.told}


def test_a_model_that_makes_a_table_up_is_refused_and_told_so_before_it_abstains() -> None:
    def each(config: ChatConfig) -> Answer:
        if "made_up_answers" in config.user_message:
            return abstain(missing(asked_in(config)))
        return query("SELECT answer FROM made_up_answers WHERE question = 'this one'")

    heard = Heard()
    kit = Scripted(each=each)
    answered = ask_all(kit, heard)
    assert len(answered) == 105
    assert {(result.abstained, result.attempts, result.sql_query) for _, result in answered} == {(True, 2, "")}
    assert all("made_up_answers" in config.user_message for config in kit.asked[1::2])
    # The guard stopped each before a database heard of it: there is a step that failed, and none that ran.
    ran: list[Any] = [error for name, _, error in heard.told if name == "sql_execute"]
    assert ran == ["query_refused"] * 105
