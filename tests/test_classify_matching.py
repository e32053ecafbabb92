"""An answer as the label it means: what is near enough, what is not, and how quick that is found."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import InputError, UnknownNameError
from racto.tools.classify.matching import Match, Matcher
from racto.tools.classify.options import OptionList, Options

from tests.classify_typos import banking, banking_texts, clinc, misspelt

SUPPORT = [
    "Billing",
    "Technical Support",
    "Sales",
    "Account > Close",
    "Account > Open",
    "C++",
    "C#",
    "Plan A",
    "Plan 2.5",
]


@pytest.mark.parametrize(
    ("answer", "label", "how"),
    [
        ("Billing", "Billing", "exact"),
        ("  bILLING.\n", "Billing", "normalised"),
        ("**Technical_Support**", "Technical Support", "normalised"),
        ("Ｂｉｌｌｉｎｇ", "Billing", "normalised"),
        ("Bil\u200bling\ufeff", "Billing", "normalised"),
        ("“technical–support”", "Technical Support", "normalised"),
        ("Category: Sales", "Sales", "normalised"),
        ("account/close", "Account > Close", "normalised"),
        ("Close", "Account > Close", "normalised"),
        ("c++", "C++", "normalised"),
        ("plan a", "Plan A", "normalised"),
        ("Biling", "Billing", "fuzzy"),
        ("Technical Suport", "Technical Support", "fuzzy"),
        ("Tehcnical Supportt", "Technical Support", "fuzzy"),
        ("technicalsupport", "Technical Support", "fuzzy"),
        ("Вilling", "Billing", "fuzzy"),  # the first letter is Cyrillic
    ],
)
def test_an_answer_is_read_as_the_label_it_can_only_mean(answer: str, label: str, how: str) -> None:
    match = Matcher(SUPPORT).match(answer)
    assert match is not None
    assert (match.label, match.how) == (label, how)


@pytest.mark.parametrize(
    "answer",
    [*["Not Billing", "not billing", "!Billing", "¬Billing", "Non-Billing", "no Sales", "Billing or Sales", "Billing, Sales", "C", "C+", "C-"],
    *["Plan B", "Plan", "Plan 25", "Plan 2,5", "Plan 3.5", "Account", "Support", "Technical", "", " ", "a1", "\u200b", "Billings Department", "7", "None"]],
)  # fmt: skip
def test_what_means_another_thing_or_nothing_is_no_label(answer: str) -> None:
    assert Matcher(SUPPORT).match(answer) is None


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        (["Employee", "Contract"], "Employer"),
        (["Typical"], "Atypical"),
        (["Hypertension"], "Hypotension"),
        (["Import duty"], "Export duty"),
        (["Verified account"], "Unverified account"),
        (["Internal transfer"], "External transfer"),
        (["Hepatitis B"], "Hepatitis C"),
        (["Phase II"], "Phase III"),
        (["退款"], "退货"),
        (["US visa"], "UK visa"),
        (["Hot water"], "Not water"),
        (["-5 %"], "5 %"),
        (["Paid without fee"], "Paid with fee"),
        (["card_not_working"], "card_now_working"),
        (["top_up_by_cash"], "top_up_my_cash"),
    ],
)
def test_one_letter_that_makes_another_word_is_no_misspelling(labels: list[str], answer: str) -> None:
    assert Matcher(labels).match(answer) is None


def test_what_is_as_near_to_two_labels_is_neither() -> None:
    assert Matcher(["Table lamp", "Cable lamp"]).match("Xable lamp") is None


def test_labels_that_are_written_alike_are_told_apart_by_their_exact_text_only() -> None:
    matcher = Matcher(["Web-site", "web site"])
    assert matcher.match("web site") == Match("web site", "exact")
    assert matcher.match("Web-site") == Match("Web-site", "exact")
    assert matcher.match("WEB SITE") is None


def test_capitals_count_when_they_are_asked_to() -> None:
    matcher = Matcher(["Polish", "March"], case_sensitive=True)
    assert matcher.match("polish") is None
    assert matcher.match("Polish.") == Match("Polish", "normalised")
    assert matcher.match("Polissh") == Match("Polish", "fuzzy")


def test_without_fuzzy_matching_a_misspelt_label_is_none() -> None:
    assert Matcher(SUPPORT).match("Biling", fuzzy=False) is None


def test_short_ids_are_read_only_where_they_were_given_out() -> None:
    matcher = Matcher(["Billing", "a2", "Sales"])
    assert matcher.ids == {"b1": "Billing", "b2": "a2", "b3": "Sales"}, "no label looks like an id"
    assert matcher.match("b3", ids=True) == Match("Sales", "id")
    assert matcher.match(" B3: sales ", ids=True) == Match("Sales", "id")
    assert matcher.match("b3: Billing", ids=True) is None, "the id and the label disagree"
    assert matcher.match("b4", ids=True) is None
    assert matcher.match("b3") is None
    assert matcher.match("a2", ids=True) == Match("a2", "exact")


def test_the_nearest_labels_are_told() -> None:
    assert Matcher(SUPPORT).nearest("Billing questions")[0] == "Billing"


@pytest.mark.parametrize("labels", [banking, clinc])
def test_a_misspelt_label_is_corrected_and_never_to_another(labels: Callable[[], list[str]]) -> None:
    known = labels()
    matcher, rng, seen, right, wrong = Matcher(known), random.Random(6), 0, 0, 0
    for _ in range(100):
        for label in known:
            slips = 1 if len(label) < 14 else rng.choice([1, 2])
            answer = misspelt(rng, label, slips)
            if answer is None or answer in known:
                continue
            seen += 1
            match = matcher.match(answer)
            right += match is not None and match.label == label
            wrong += match is not None and match.label != label
    assert seen > 5_000
    assert right / seen >= 0.99
    assert wrong == 0


@pytest.mark.parametrize("labels", [banking, clinc])
def test_a_label_that_is_missing_does_not_become_its_sibling(labels: Callable[[], list[str]]) -> None:
    known, rng, seen, wrong = labels(), random.Random(7), 0, 0
    for missing in known:
        matcher = Matcher([label for label in known if label != missing])
        words = missing.split("_")
        answers = [
            missing,
            missing.upper(),
            " ".join(words),
            " ".join(reversed(words)),
            f"not {missing}",
            f"{missing}s",
        ]
        answers += [" ".join(words[:-1]), " ".join(words[1:]), f"{' '.join(words)} request", f"my {' '.join(words)}"]
        answers += [typo for _ in range(5) if (typo := misspelt(rng, missing))]
        for answer in answers:
            if answer.replace(" ", "_") not in known:  # some labels are others with a word more
                seen += 1
                wrong += matcher.match(answer) is not None
    assert seen > 800
    assert wrong / seen <= 0.015


def test_a_text_is_no_label() -> None:
    matcher, texts = Matcher(banking()), banking_texts()[::5]
    assert len(texts) > 1_500
    assert [text for text, _ in texts if matcher.match(text)] == []


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=8, unique=True), st.text(max_size=60))
def test_whatever_is_answered_what_comes_out_is_a_label(labels: list[str], answer: str) -> None:
    matcher = Matcher(labels)
    for ids in (False, True):
        match = matcher.match(answer, ids=ids)
        assert match is None or match.label in labels
    for label in labels:
        assert matcher.match(label, ids=True) == Match(label, "exact")


def _microseconds(matcher: Matcher, answers: list[str]) -> float:
    """CPU time of one answer, the best of five rounds: others use this machine too."""
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for answer in answers:
            matcher.match(answer)
        rounds.append((time.process_time() - begun) / len(answers) * 1e6)
    return min(rounds)


def test_an_answer_is_matched_in_microseconds() -> None:
    known, rng = clinc(), random.Random(8)
    typos = [typo for _ in range(4) for label in known if (typo := misspelt(rng, label))]
    answers = [*known, *(label.upper() for label in known), *typos, *(f"no such {label}" for label in known)]
    assert len(answers) > 500
    assert _microseconds(Matcher(known), answers) <= 20
    many = [f"{one} {two}" for one in known[:100] for two in known[100:150]]
    assert len(many) == 5_000
    assert _microseconds(Matcher(many), [*many[:40], *(label[:-2] + label[-1] for label in many[::50])]) <= 1_000


@pytest.mark.parametrize("labels", [[], ["A", "A"], ["A", " "], ["A" * 301], "Billing"])
def test_a_list_that_cannot_be_chosen_from_is_refused(labels: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        Options(labels)
    assert refused.value.hint


def test_a_fingerprint_covers_everything_the_model_is_told() -> None:
    lists = [
        Options(["A", "B"]),
        Options(["B", "A"]),
        Options(["A", "B"], {"A": "first"}),
        Options(["A", "B"], examples={"A": ["first"]}),
        Options(["A"], uncertain_label="B"),
        Options(["A", "B"], case_sensitive=True),
    ]
    assert len({options.fingerprint for options in lists}) == len(lists)
    assert Options(["A", "B"]).fingerprint == lists[0].fingerprint


def test_a_description_of_no_label_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Biling"):
        Options(["Billing"], {"Biling": "money"})


def test_who_has_begun_keeps_the_list_it_began_with() -> None:
    list_ = OptionList(["A"], None, None, uncertain_label=None, case_sensitive=False)
    before = list_.prepared()
    list_.add("B", "second")
    after = list_.prepared()
    assert before is not None
    assert after is not None
    assert (before.labels, after.labels, after.descriptions) == (("A",), ("A", "B"), {"B": "second"})
    assert list_.prepared() is after, "worked out once"
