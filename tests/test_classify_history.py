"""What classifications were, and what people said instead: kept, bounded, and there after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, UnknownNameError
from racto.tools.classify.answers import AuditEntry
from racto.tools.classify.history import History

LABELS = ["billing", "shipping"]


def entry(text: str, label: str = "billing", **more: object) -> AuditEntry:
    given = {"answered_by": "model", "options_provided": LABELS, **more}
    return AuditEntry.model_validate(
        {"timestamp": "2026-11-21T00:00:00Z", "user_query": text, "selected": [label], **given}
    )


def test_the_last_word_of_a_person_counts_for_more_than_the_model(tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"))
    first = history.log(entry("where is it"))
    history.log(entry("I paid twice"))
    history.correct(first, "billing", "ada")
    history.correct(first, "shipping", "ada")
    assert history.labelled(reversed(LABELS)) == [("where is it", "shipping"), ("I paid twice", "billing")]
    assert history.labelled([*LABELS, "other"]) == []


def test_what_the_local_model_said_and_what_was_in_doubt_is_not_learnt_from(tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"))
    history.log(entry("a", answered_by="local"))
    history.log(entry("b", uncertain=True))
    history.log(entry("c", error="no model"))
    history.log(entry("d", selected=LABELS))
    assert len(history.entries(LABELS)) == 4
    assert history.labelled(LABELS) == []


def test_the_oldest_entries_and_corrections_go(tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"), most=3)
    for number in range(5):
        history.correct(history.log(entry(f"text {number}")), "shipping", "ada")
    assert [each.user_query for _, each in history.entries(LABELS)] == ["text 2", "text 3", "text 4"]
    assert len(history.corrections(LABELS)) == 3


def test_a_correction_names_an_entry_a_label_it_had_and_a_person(tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"))
    number = history.log(entry("a"))
    with pytest.raises(UnknownNameError, match="audit log"):
        history.correct(number + 1, "billing", "ada")
    with pytest.raises(UnknownNameError, match="shiping"):
        history.correct(number, "shiping", "ada")
    with pytest.raises(InputError, match="Nobody"):
        history.correct(number, "billing", " ")
    assert history.corrections(LABELS) == {}


CHILD = """
import sys, time
from racto.knowledge.database import Database
from tests.test_classify_history import History, entry
history = History(Database(sys.argv[1]))
for number in range(10**6):
    history.log(entry(f"text {number}"))
    print(number, flush=True)
"""


def test_every_entry_that_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "racto.db")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert child.stdout is not None
    with child, child.stdout as told:
        seen = [next(told) for _ in range(20)]
        os.kill(child.pid, signal.SIGKILL)
        seen += [line for line in told if line.endswith("\n")]
    kept = {each.user_query for _, each in History(Database(tmp_path / "racto.db")).entries(LABELS)}
    assert len(seen) >= 20
    assert {f"text {line.strip()}" for line in seen} <= kept
