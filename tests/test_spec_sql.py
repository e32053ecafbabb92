"""The lines of behaviour of the specification's section on the SQL analyst: each is shown by a test that is named here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_spec import CHECKLIST

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
