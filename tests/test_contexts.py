"""Conversations: kept, cut into windows, searched, summed up, deleted and brought back, exported; each its owner's alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from racto.knowledge.contexts import ContextStore
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, UnknownNameError
from racto.knowledge.files import RactoFile
from racto.knowledge.salvage import rebuild
from racto.knowledge.turns import estimate, file_tokens, from_a_question, message_tokens, transcript, units
from racto.knowledge.vocabulary import Message, MessageRole, ToolCallResult

pytestmark = pytest.mark.anyio


def said(role: str, content: str) -> Message:
    return Message(role=MessageRole(role), content=content)


def call(number: int) -> Message:
    asked = ToolCallResult(id=f"c{number}", name="lookup", arguments={"q": "é"})
    return Message(role=MessageRole.ASSISTANT, content="", tool_calls=[asked])


def result(number: int) -> Message:
    return Message(role=MessageRole.TOOL, content="42", tool_call_id=f"c{number}")


TALK = [
    said("user", "Hello"),
    said("assistant", "Hi"),
    said("user", "Look it up"),
    call(1),
    result(1),
    said("assistant", "It is 42."),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "racto.db")) as database:
        yield database


@pytest.fixture
def store(database: Database) -> ContextStore:
    return ContextStore(database)


def test_what_was_said_is_there_after_a_restart_with_all_that_belongs_to_it(database: Database) -> None:
    file = RactoFile(b"\x00\x01", "image/png", "a.png")
    signed = Message(role=MessageRole.ASSISTANT, content="Yes", native={"anthropic": [{"signature": "x"}]})
    asked = Message(role=MessageRole.USER, content="See?", attachments=[file])
    ContextStore(database).append("talk", *TALK, asked, signed)
    with closing(Database(database.path)) as reopened:
        stored = ContextStore(reopened).read("talk")
    assert [each.number for each in stored] == list(range(1, 9))
    assert [each.message.model_dump(exclude={"attachments"}) for each in stored] == [
        message.model_dump(exclude={"attachments"}) for message in (*TALK, asked, signed)
    ]
    (kept,) = stored[6].message.attachments
    assert (kept.data, kept.mime_type, kept.name) == (file.data, file.mime_type, file.name)


def test_a_context_without_a_name_gets_one_and_its_title_is_what_the_user_first_says(store: ContextStore) -> None:
    info = store.append("", said("system", "Be kind"), said("user", "What \n is\tup?"))
    assert store.get(info.name).title == "What is up?"
    assert store.append("", said("user", "x")).name != info.name
    assert store.append("named", said("user", "x"), title="Mine").title == "Mine"


@pytest.mark.parametrize("name", ["/etc", "a b", ".hidden", "x" * 129, "é", "a\n"])
def test_a_name_that_cannot_be_one_is_refused(store: ContextStore, name: str) -> None:
    with pytest.raises(InputError, match="1 to 128"):
        store.append(name, said("user", "x"))


def test_nobody_sees_what_is_anothers(store: ContextStore) -> None:
    store.append("plan", said("user", "the secret zebra"), owner="ada")
    store.append("plan", said("user", "something else"), owner="bob")
    assert [each.title for each in store.find("bob")] == ["something else"]
    assert store.search("zebra", "bob") == []
    assert [hit.context for hit in store.search("zebra", "ada")] == ["plan"]
    for forbidden in (store.get, store.read, store.window, store.delete, store.restore, store.export):
        with pytest.raises(UnknownNameError, match="no context named 'plan'"):
            forbidden("plan", "eve")
    with pytest.raises(UnknownNameError) as error:
        store.get("plam", "eve")
    assert "plan" not in str(error.value), "an error must not tell what others have"


def test_messages_said_at_the_same_time_are_all_kept_in_one_order(database: Database) -> None:
    others = [Database(database.path) for _ in range(4)]
    ready = threading.Barrier(4)

    def talk(mine: Database, who: int) -> None:
        ready.wait()
        for number in range(10):
            ContextStore(mine).append("talk", said("user", f"{who}-{number}"), said("assistant", f"{who}-{number}!"))

    threads = [threading.Thread(target=talk, args=(mine, who)) for who, mine in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = ContextStore(database).read("talk", limit=1000)
    for mine in others:
        mine.close()
    assert [each.number for each in stored] == list(range(1, 81))
    texts = [each.message.content for each in stored]
    assert all(answer == f"{question}!" for question, answer in zip(texts[::2], texts[1::2], strict=True))
    for who in range(4):
        assert [text for text in texts[::2] if text.startswith(f"{who}-")] == [
            f"{who}-{number}" for number in range(10)
        ]


def test_a_window_without_a_limit_is_the_whole_conversation(store: ContextStore) -> None:
    store.append("talk", *TALK)
    assert store.window("talk") == TALK
    assert store.window("talk", max_tokens=10_000, max_messages=6) == TALK


def test_a_window_never_parts_a_result_from_its_call_and_begins_with_the_user(store: ContextStore) -> None:
    store.append("talk", *TALK)
    assert store.window("talk", max_messages=4) == TALK[2:]
    assert store.window("talk", max_messages=3) == []  # the call and its result, but not the question
    assert store.window("talk", max_messages=5) == TALK[2:]
    assert store.window("talk", max_tokens=0) == []


def test_a_window_counts_as_it_is_told_to(store: ContextStore) -> None:
    store.append("talk", *(said("user", f"word {number}") for number in range(10)))
    assert len(store.window("talk", max_tokens=18, count=lambda text: len(text.split()))) == 3  # (2 + 4) each


async def test_a_summary_stands_for_what_the_window_leaves_out(store: ContextStore) -> None:
    store.append("talk", *TALK, *TALK)
    seen: list[tuple[str, list[Message]]] = []

    async def sum_up(so_far: str, messages: Sequence[Message]) -> str:
        seen.append((so_far, list(messages)))
        return f"{so_far}+{len(messages)}"

    info = await store.summarise("talk", sum_up, keep_last=6)
    assert (info.summary, info.summarised) == ("+6", 6)
    assert seen == [("", TALK)]
    window = store.window("talk", max_messages=5)
    assert window[0].role is MessageRole.USER
    assert window[0].content.endswith("+6")
    assert window[1:] == TALK[2:]
    assert store.window("talk") == [*TALK, *TALK], "a summary is for what does not fit"
    info = await store.summarise("talk", sum_up, keep_last=2)
    assert (info.summary, info.summarised) == ("+6+3", 9), "the call and its result stay together"
    assert await store.summarise("talk", sum_up, keep_last=3) == info, "nothing new to sum up, nobody is asked"
    assert len(seen) == 2


async def test_of_two_summaries_made_at_once_the_second_is_not_laid_over_the_first(store: ContextStore) -> None:
    store.append("talk", *TALK)
    both = asyncio.Barrier(2)

    async def sum_up(so_far: str, messages: Sequence[Message]) -> str:
        await both.wait()
        return f"{so_far}+{len(messages)}"

    await asyncio.gather(store.summarise("talk", sum_up, keep_last=0), store.summarise("talk", sum_up, keep_last=4))
    info = store.get("talk")
    assert info.summary == f"+{info.summarised}"


def test_a_deleted_context_is_out_of_sight_until_it_is_restored(store: ContextStore) -> None:
    store.append("talk", said("user", "the zebra"))
    assert store.delete("talk").deleted_at
    assert store.find() == []
    assert store.search("zebra") == []
    assert [each.name for each in store.find(deleted=True)] == ["talk"]
    for gone in (store.get, store.read, store.window, store.delete, store.export):
        with pytest.raises(UnknownNameError, match="was deleted"):
            gone("talk")
    with pytest.raises(UnknownNameError, match="was deleted"):
        store.append("talk", said("user", "more"))
    assert store.restore("talk").deleted_at is None
    assert [hit.context for hit in store.search("zebra")] == ["talk"]


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("The analyses of companies", "company analysis"),
        ("我喜欢机器学习", "机器学习"),
        ("हिन्दी में नमस्ते", "नमस्ते"),
        ("C++ and node.js", "node.js"),
        ('say "quoted" AND OR NOT', 'NOT "quoted"'),
        ("ein Straßenfest", "Straßenfest"),
    ],
)
def test_a_message_is_found_by_its_words_in_any_form_and_script(store: ContextStore, content: str, query: str) -> None:
    store.append("a", said("user", "Something else entirely, of another matter."))
    store.append("b", said("assistant", content))
    hits = store.search(query)
    assert [(hit.context, hit.number, hit.role) for hit in hits][:1] == [("b", 1, "assistant")]
    assert "**" in hits[0].snippet
    assert store.search(query, name="a") == []


def test_a_message_too_short_to_tell_its_language_is_found_too(store: ContextStore) -> None:
    store.append("alone", said("user", "zebras"))
    store.append(
        "talk", said("user", "What is it that the zebras of the plains are doing there?"), said("assistant", "Grazing!")
    )
    store.append("talk", said("user", "Giraffes?"))
    assert [hit.context for hit in store.search("where are the zebras of them all")] == ["alone", "talk"]
    assert [(hit.context, hit.number) for hit in store.search("what of the giraffe")] == [("talk", 3)]
    assert [(hit.context, hit.number) for hit in store.search("do they graze")] == [("talk", 2)]


@given(st.text(min_size=1, max_size=40), st.text(max_size=20))
@example("\ud800", "\x00")
@example("a\u200db", '"')
def test_no_text_breaks_a_search_and_what_was_said_is_found_again(text: str, query: str) -> None:
    with closing(Database()) as database:
        store = ContextStore(database)
        store.append("talk", said("user", text))
        store.search(query)
        kept = store.read("talk")[0].message.content
        assert store.search(kept) or not any(character.isalnum() for character in kept)


def test_an_export_holds_everything(store: ContextStore) -> None:
    store.append(
        "talk", *TALK, Message(role=MessageRole.USER, content="π", attachments=[RactoFile(b"x", "text/plain", "x.txt")])
    )
    exported = json.loads(store.export("talk"))
    assert exported["name"] == "talk"
    assert [each["role"] for each in exported["messages"]] == [each.role.value for each in TALK] + ["user"]
    assert exported["messages"][3]["tool_calls"] == [{"id": "c1", "name": "lookup", "arguments": {"q": "é"}}]
    assert exported["messages"][4]["tool_call_id"] == "c1"
    assert exported["messages"][6]["attachments"] == [{"name": "x.txt", "mime_type": "text/plain", "data": "eA=="}]
    text = store.export("talk", form="text")
    assert text.startswith("Hello\n\nuser: Hello\n\nassistant: Hi\n\n")
    assert '[calls lookup {"q": "é"}]' in text
    assert "[attached x.txt]" in text


def test_a_page_of_a_long_conversation_can_be_read(store: ContextStore) -> None:
    store.append("talk", *(said("user", str(number)) for number in range(1, 31)))
    assert [each.message.content for each in store.read("talk", first=11, limit=3)] == ["11", "12", "13"]
    assert store.read("talk", first=31) == []


def test_conversations_are_listed_the_latest_first(store: ContextStore) -> None:
    for name in ("a", "b", "c"):
        store.append(name, said("user", name))
    newest = [each.name for each in store.find()]
    assert sorted(newest) == ["a", "b", "c"]
    assert [each.name for each in store.find(limit=1, offset=1)] == newest[1:2]


def test_a_rebuilt_database_still_finds_what_was_said(database: Database) -> None:
    ContextStore(database).append("talk", *TALK, said("user", "the zebra"))
    database.close()
    salvage = rebuild(database.path)
    assert (salvage.saved["contexts"], salvage.saved["context_messages"]) == (1, 7)
    with closing(Database(database.path)) as again:
        assert ContextStore(again).window("talk") == [*TALK, said("user", "the zebra")]
        assert [hit.number for hit in ContextStore(again).search("zebras")] == [7]


def test_messages_whose_context_is_lost_get_another(database: Database) -> None:
    ContextStore(database).append("talk", said("user", "the zebra"))
    database.close()
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("DELETE FROM contexts")
        connection.execute("UPDATE context_messages SET details = '{broken'")
        connection.commit()
    rebuild(database.path)
    with closing(Database(database.path)) as again:
        (info,) = ContextStore(again).find()
        assert info.name.startswith("recovered-")
        assert ContextStore(again).window(info.name) == [said("user", "the zebra")]


@given(st.lists(st.sampled_from(["user", "assistant", "tool"]), max_size=12))
def test_units_are_the_conversation_and_none_begins_with_a_result_but_the_first(roles: list[str]) -> None:
    messages = [said(role, str(number)) for number, role in enumerate(roles)]
    pieces = units(messages)
    assert [message for piece in pieces for message in piece] == messages
    assert all(piece[0].role is not MessageRole.TOOL for piece in pieces[1:])


def test_an_estimate_is_a_quarter_of_ascii_and_a_whole_for_writing_systems_of_many_letters() -> None:
    assert estimate("x" * 400) == 100
    assert estimate("机器学习") == 4
    assert estimate("привет") == 3
    assert estimate("") == 0


def test_calls_files_and_what_only_the_provider_reads_are_counted() -> None:
    plain = said("assistant", "")
    assert message_tokens(plain) == 4
    assert message_tokens(call(1)) > message_tokens(plain)
    big = {"anthropic": [{"signature": "x" * 400}]}
    assert message_tokens(plain.model_copy(update={"native": big})) > 100
    assert file_tokens(RactoFile(b"word " * 80, "text/plain")) == 100
    assert file_tokens(RactoFile(b"", "image/png")) == 1600
    assert file_tokens(RactoFile(b"x" * 1_000_000, "application/pdf")) == 40_000
    assert file_tokens(RactoFile(b"x" * 1000, "application/zip")) == 1000


def test_what_is_left_of_a_cut_conversation_begins_with_the_user() -> None:
    assert from_a_question(TALK[3:]) == []
    assert from_a_question(TALK[1:]) == TALK[2:]
    assert transcript(TALK[:2]) == "user: Hello\n\nassistant: Hi"
