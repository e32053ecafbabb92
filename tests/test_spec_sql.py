"""The specification's section on the SQL analyst: its lines of behaviour, each shown by a test that is named here, and what tests/test_spec.py
cannot say of its lines of signatures.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import racto
import racto.pipelines
from racto import AsyncSQLAnalystPipeline, SQLAnalystPipeline, SQLAnalystResult

from tests.test_spec import CHECKLIST, DEVIATIONS, LINES, Line, examine, parameters

ANALYST = [line for line in LINES if line.id.startswith("R-SQL-")]

WHOLE = "test_a_question_comes_back_as_query_rows_answer_chart_and_tokens"
HIDDEN = "test_hidden_tables_and_columns_are_unknown_to_the_model_and_masked_ones_are_masked"
STEPS = "test_each_step_has_its_own_kit_prompt_temperature_and_length"
CONFINED = "test_python_runs_only_when_asked_for_and_only_confined"
TOLD = "test_docs_indexes_counts_and_samples_are_told_when_asked_for"
READ_ONLY = "test_what_writes_is_a_read_only_violation_whatever_was_asked_for"
SHARE = "test_a_used_up_share_ends_the_run_before_the_next_call"

SHOWN_BY = {
    "B001": WHOLE,
    "B002": WHOLE,
    "B003": CONFINED,
    "B004": WHOLE,
    "B005": WHOLE,
    "B006": READ_ONLY,
    "B007": "test_a_query_that_fails_is_shown_to_the_model_with_its_error",
    "B008": "test_the_number_of_rows_is_limited_by_pipeline_and_call_and_zero_is_no_limit",
    "B009": "test_pipelines_with_other_policies_do_not_share_a_schema",
    "B010": HIDDEN,
    "B011": HIDDEN,
    "B012": HIDDEN,
    "B013": TOLD,
    "B014": "test_safe_mode_gives_the_error_and_what_was_done_before_it",
    "B015": "test_a_conversation_is_remembered_by_its_session",
    "B016": SHARE,
    "B017": STEPS,
    "B018": STEPS,
    "B019": "test_a_chart_of_ones_own_is_drawn",
    "B020": "test_every_type_draws_one_row_twelve_and_ten_thousand",
    "B021": "test_a_sqlalchemy_engine_can_be_asked_by_pipeline_or_call",
    "B022": "test_a_database_can_be_named_by_its_parts",
    "B023": CONFINED,
    "B024": TOLD,
    "B025": "test_tracer_and_metrics_hear_of_every_step",
    "B026": "test_excel_has_numbers_dates_and_texts_and_never_a_formula",
    "B027": WHOLE,
    "B028": READ_ONLY,
    "B029": SHARE,
    "B030": "test_a_cancelled_run_kills_its_query_and_no_other",
}


@pytest.mark.skipif(not CHECKLIST.exists(), reason=f"there is no checklist {CHECKLIST}")
def test_every_line_of_behaviour_of_the_analyst_names_a_test_that_exists() -> None:
    lines = set(re.findall(r"\[ \] R-SQL-(B\d+) ", CHECKLIST.read_text()))
    assert len(lines) == 30
    assert lines == SHOWN_BY.keys()
    written = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_sql_*.py"))
    assert not [name for name in SHOWN_BY.values() if f"def {name}(" not in written]


@pytest.mark.skipif(not ANALYST, reason=f"there is no checklist {CHECKLIST}")
def test_both_pipelines_differ_from_the_specification_in_their_analysis_engine_and_in_nothing_else() -> None:
    different = [line for line in ANALYST if line.id in DEVIATIONS]
    assert [line.id for line in different] == ["R-SQL-A001", "R-SQL-A027"]
    for line in different:
        assert "analysis_engine='pandas'" in line.text
        examine(Line(line.id, line.text.replace("analysis_engine='pandas'", "analysis_engine='duckdb'")))


@pytest.mark.skipif(not ANALYST, reason=f"there is no checklist {CHECKLIST}")
def test_what_the_specification_names_can_be_imported_from_racto_and_from_its_pipelines() -> None:
    wanted = {match[1] for line in ANALYST if (match := re.match(r"(?:class|exception) `(\w+)", line.text))}
    assert len(wanted) == 7
    for name in wanted:
        assert getattr(racto, name) is getattr(racto.pipelines, name)


@pytest.mark.parametrize("owner", [SQLAnalystPipeline, AsyncSQLAnalystPipeline])
def test_all_but_the_kit_and_the_question_are_given_by_name(owner: type) -> None:
    for function, first in (
        (owner, "kit"),
        (SQLAnalystPipeline.run, "user_query"),
        (SQLAnalystPipeline.arun, "user_query"),
    ):
        positional = [name for name, one in parameters(function).items() if one.kind is not one.KEYWORD_ONLY]
        assert positional == [first]


def test_run_waits_arun_and_the_asynchronous_run_are_awaited() -> None:
    assert not inspect.iscoroutinefunction(SQLAnalystPipeline.run)
    assert inspect.iscoroutinefunction(SQLAnalystPipeline.arun)
    assert inspect.iscoroutinefunction(AsyncSQLAnalystPipeline.run)
    named = set(parameters(SQLAnalystPipeline.run))
    assert named == set(parameters(SQLAnalystPipeline.arun))
    assert len(named) >= 22


def test_rows_are_exported_to_a_file_or_returned_as_text(tmp_path: Path) -> None:
    result = SQLAnalystResult(user_query="?", columns=["a"], raw_rows=[{"a": 1}], row_count=1)
    assert result.to_csv() is not None
    assert result.to_csv(tmp_path / "a.csv") is None
    assert (tmp_path / "a.csv").read_bytes().decode() == result.to_csv()
    assert parameters(SQLAnalystResult.to_json)["indent"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters(SQLAnalystResult.to_excel)["sheet_name"].default == "Results"


def test_errors_are_the_builtin_ones_the_specification_names() -> None:
    assert issubclass(racto.ReadOnlyViolationError, ValueError)
    assert issubclass(racto.RateLimitExceededError, RuntimeError)
