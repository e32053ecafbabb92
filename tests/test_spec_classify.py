"""The specification's section on the list classifier: its lines of behaviour, each shown by a test that is named here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_spec import CHECKLIST

SHOWN_BY = {
    "B001": "test_a_text_gets_a_label_with_its_confidence",
    "B002": "test_several_labels_are_ordered_by_confidence_and_the_unsure_ones_dropped",
    "B003": "test_output_comes_as_text_or_dict_too",
    "B004": "test_no_answer_of_a_hundred_thousand_leaves_the_list",
    "B005": "test_a_misspelt_label_costs_no_retry_and_is_told",
    "B006": "test_an_answer_that_is_never_a_label_is_uncertain",
    "B007": "test_reasons_and_scores_of_every_label_are_given_when_asked_for",
    "B008": "test_descriptions_and_examples_are_shown_with_their_label_and_a_text_cannot_end_itself",
    "B009": "test_the_uncertain_label_is_one_more_option_and_the_model_may_choose_it",
    "B010": "test_several_labels_are_ordered_by_confidence_and_the_unsure_ones_dropped",
    "B011": "test_capitals_count_when_they_are_asked_to",
    "B012": "test_a_cache_answers_for_the_same_options_and_settings_only",
    "B013": "test_every_call_leaves_a_record_answered_cached_or_failed",
    "B014": "test_the_provider_is_held_to_the_labels_where_it_can_be",
    "B015": "test_every_label_can_be_a_member_of_an_enum",
    "B016": "test_options_are_edited_while_texts_are_classified",
    "B017": "test_a_batch_keeps_its_order_and_its_bound_and_tells_how_far_it_is",
    "B018": "test_a_result_helps_itself",
    "B019": "test_an_error_ends_a_batch_and_in_safe_mode_only_its_text",
    "B020": "test_who_has_used_up_their_share_is_refused_before_the_model_is_asked",
    "B021": "test_a_cache_answers_for_the_same_options_and_settings_only",
    "B022": "test_a_conversation_is_remembered_and_read",
}


@pytest.mark.skipif(not CHECKLIST.exists(), reason=f"there is no checklist {CHECKLIST}")
def test_every_line_of_behaviour_of_the_classifier_names_a_test_that_exists() -> None:
    lines = set(re.findall(r"\[ \] R-CLS-(B\d+) ", CHECKLIST.read_text()))
    assert len(lines) == 22
    assert lines == SHOWN_BY.keys()
    written = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_classify_*.py"))
    assert not [name for name in SHOWN_BY.values() if f"def {name}(" not in written]
