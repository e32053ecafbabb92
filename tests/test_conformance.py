"""The official conformance suite against our own registry, server and HTTP transport; and that its runner notices what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import run as conformance
from tests.conformance.run import NotInstalledError, Outcome, expectations, required, run, surprises

PASSED = Outcome({"SUCCESS": 3, "INFO": 1})
FAILED = Outcome({"SUCCESS": 2, "FAILURE": 1}, ("ping: no answer",))
WARNED = Outcome({"SUCCESS": 2, "WARNING": 1}, ("retry: not sent",))
SKIPPED = Outcome({"SKIPPED": 1})


def test_every_required_scenario_of_both_revisions_passes() -> None:
    try:
        outcomes = run()
    except NotInstalledError as error:
        pytest.skip(f"the official conformance suite was NOT run: {error}")
    assert surprises(outcomes, expectations()) == []
    for revision, scenarios in outcomes.items():
        assert {name for name in required(revision) if scenarios[name].verdict != "passed"} == set()


@pytest.mark.parametrize("outcome", [FAILED, WARNED, SKIPPED], ids=["failed", "warned", "skipped"])
def test_what_does_not_pass_is_a_surprise_unless_it_is_listed(outcome: Outcome) -> None:
    outcomes = {"2026-07-28": {"ping": outcome, "tools": PASSED}}
    assert len(surprises(outcomes, {})) == 1
    assert surprises(outcomes, {"2026-07-28": {"ping": "because"}}) == []
    assert len(surprises(outcomes, {"2025-11-25": {"ping": "because"}})) == 1


def test_a_listed_failure_that_passes_or_does_not_exist_is_a_surprise() -> None:
    listed = {"2026-07-28": {"ping": "because", "pong": "because"}}
    assert surprises({"2026-07-28": {"ping": PASSED}}, listed) == [
        "2026-07-28 ping passes: take it out of expected.toml.",
        "2026-07-28 pong is excused but does not exist.",
    ]


def test_without_npm_the_runner_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(conformance, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalledError, match="apt-get install npm"):
        conformance.install()
    assert conformance.main() == 2


def test_every_expected_failure_has_a_reason() -> None:
    reasons = [reason for excuses in expectations().values() for reason in excuses.values()]
    assert all(len(reason) > 20 for reason in reasons)
