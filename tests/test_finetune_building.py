"""Datasets made of what is kept here: only with consent, and without private data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from racto.knowledge.contexts import ContextStore
from racto.knowledge.database import Database
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import Message, MessageRole, ToolCallResult
from racto.tools.finetune.building import Source, build, from_contexts, from_labels
from racto.tools.finetune.messages import RactoTrainingExample, RactoTrainingMessage

SECRET = "ann@example.org"


def test_nothing_of_a_source_without_consent_is_read() -> None:
    def unread() -> Iterator[RactoTrainingExample]:
        raise AssertionError("it was read")
        yield RactoTrainingExample([])

    built = build(
        [Source("mine", [RactoTrainingExample.from_pair("q", "a")], consent=True), Source("theirs", unread())]
    )
    assert (len(built.dataset), built.used, built.refused) == (1, {"mine": 1}, ["theirs"])


def test_private_data_is_redacted_everywhere_in_an_example_unless_that_is_not_wanted() -> None:
    call = ToolCallResult("1", "send", {"to": [SECRET], "copy": {"to": SECRET}})
    example = RactoTrainingExample(
        [
            RactoTrainingMessage("user", f"Write to {SECRET}", [RactoFile(SECRET.encode(), "text/plain")]),
            RactoTrainingMessage("assistant", "", [], [call]),
            RactoTrainingMessage("tool", f"Sent to {SECRET}", tool_call_id="1"),
            RactoTrainingMessage("assistant", f"Done, {SECRET}."),
        ],
        [{"name": "send"}],
        RactoTrainingMessage("assistant", f"No, {SECRET}."),
    )
    written = build([Source("mine", [example], consent=True)]).dataset.to_jsonl_string("jsonl")
    assert SECRET not in written
    assert written.count("[EMAIL]") == 7
    kept = build([Source("mine", [example], consent=True)], redact=False).dataset.to_jsonl_string("jsonl")
    assert kept.count(SECRET) == 7


def test_a_conversation_becomes_an_example_that_ends_with_an_answer(tmp_path: Path) -> None:
    database = Database(tmp_path / "racto.db")
    store = ContextStore(database)
    said = [("system", "Be kind."), ("user", "Hello?"), ("assistant", "Hello!"), ("user", "Are you there?")]
    store.append("talk", *(Message(role=MessageRole(role), content=text) for role, text in said))
    store.append("monologue", Message(role=MessageRole.USER, content="Anybody?"))
    built = build([Source("contexts", from_contexts(store, ["talk", "monologue"]), consent=True)])
    database.close()
    assert [[(turn.role, turn.content) for turn in each.messages] for each in built.dataset] == [said[:3]]
    assert (built.used, built.incomplete) == ({"contexts": 1}, 1)


def test_labelled_texts_become_examples_of_choosing_from_the_list() -> None:
    built = build(
        [Source("audit", from_labels([("My card is lost", "card"), ("?", "gone")], ["card", "loan"]), consent=True)]
    )
    assert len(built.dataset) == 1
    system, asked, answered = built.dataset[0].messages
    assert system.content.endswith("card\nloan")
    assert (asked.content, answered.content) == ("My card is lost", "card")
