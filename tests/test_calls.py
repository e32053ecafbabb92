"""What a call is given and what comes back."""

from __future__ import annotations

import asyncio
import datetime
import enum
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from racto.agents.calls import (
    Blob,
    Caller,
    Content,
    Embedded,
    Link,
    Text,
    ToolContext,
    ToolOutput,
    cut,
    plain,
    to_output,
)
from racto.agents.toolbox import Tool


class Kind(enum.Enum):
    PDF = "pdf"


@dataclass
class Hit:
    page: int
    found: datetime.date
    kind: Kind = Kind.PDF

    def render(self) -> str:
        return f"page {self.page}"


class Report(BaseModel):
    total: int = Field(alias="count")
    hits: list[Hit] = []


def test_text_is_text_and_has_no_structure() -> None:
    assert to_output("hello") == ToolOutput([Text("hello")])
    assert to_output(None) == ToolOutput([Text("done")])


def test_numbers_and_lists_are_a_result() -> None:
    assert to_output(3) == ToolOutput([Text("3")], structured={"result": 3})
    assert to_output([1, "é"]) == ToolOutput([Text('[1, "é"]')], structured={"result": [1, "é"]})
    assert to_output([]) == ToolOutput([Text("[]")], structured={"result": []})


def test_a_model_or_dataclass_keeps_its_structure_under_its_public_names() -> None:
    hit = Hit(3, datetime.date(2026, 11, 20))
    report = to_output(Report(count=1, hits=[hit]))
    assert report.structured == {"count": 1, "hits": [{"page": 3, "found": "2026-11-20", "kind": "pdf"}]}
    assert json.loads(report.text) == report.structured


def test_what_can_render_itself_reads_as_it_renders() -> None:
    output = to_output(Hit(3, datetime.date(2026, 11, 20)))
    assert output.text == "page 3"
    assert output.structured == {"page": 3, "found": "2026-11-20", "kind": "pdf"}


def test_pieces_of_content_pass_as_they_are() -> None:
    picture = Blob(b"\x89PNG", "image/png")
    pieces: list[Content] = [Text("a"), picture, Link("racto://x", "x"), Embedded("racto://y", "text")]
    assert to_output(pieces) == ToolOutput(pieces)
    assert to_output(picture) == ToolOutput([picture])
    assert picture.base64_data == "iVBORw=="
    ready = ToolOutput([Text("no")], is_error=True)
    assert to_output(ready) is ready


@settings(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.dates()
        | st.binary(max_size=5)
        | st.sampled_from(Kind)
        | st.decimals(allow_nan=False)
        | st.builds(Hit, st.integers(), st.dates()),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text() | st.integers() | st.sampled_from(Kind), inner, max_size=3)
            | st.sets(st.integers(), max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_result_becomes_json(value: Any) -> None:
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    output = to_output(value)
    assert output.structured is None or isinstance(output.structured, dict)


def test_text_over_the_limit_is_cut_with_a_sentence_that_says_so() -> None:
    output = cut(ToolOutput([Text("a" * 600), Text("b" * 600)], structured={"result": 1}), 1000, "Ask for less.")
    assert output.content[0] == Text("a" * 600)
    assert output.content[1] == Text("b" * 400)
    assert output.content[2] == Text("[Cut: 1,000 of 1,200 characters are shown. Ask for less.]")
    assert output.structured is None


def test_a_cut_output_points_to_its_own_link_for_the_rest() -> None:
    link = Link("racto://pages/a/b", "b")
    output = cut(ToolOutput([Text("a" * 20), link]), 10, "Ask for less.")
    assert link in output.content
    assert "Read the linked resource for the rest." in output.text


def test_output_within_the_limit_is_left_alone() -> None:
    output = ToolOutput([Text("a" * 1000)], structured={"a": "b" * 900})
    assert cut(output, 1000, "") is output


def test_structure_over_the_limit_goes_as_a_whole() -> None:
    output = cut(ToolOutput([Text("short")], structured={"a": ["b"] * 1000}), 1000, "")
    assert output == ToolOutput([Text("short")])


@given(st.lists(st.text(max_size=30), max_size=5), st.integers(1, 60))
def test_no_more_text_than_the_limit_is_shown(parts: list[str], limit: int) -> None:
    output = cut(ToolOutput([Text(part) for part in parts]), limit, "Rest.")
    whole = "".join(parts)
    shown = [part.text for part in output.content if isinstance(part, Text)]
    if len(whole) > limit:
        assert shown.pop().startswith("[Cut: ")
    assert "".join(shown) == whole[:limit]


def test_a_caller_may_what_its_scopes_say() -> None:
    assert Caller().may("admin")
    assert Caller("a", frozenset()).may("")
    assert Caller("a", frozenset({"pages"})).may("pages")
    assert not Caller("a", frozenset({"pages"})).may("admin")


@pytest.mark.anyio
async def test_the_silent_context_has_nobody_to_ask() -> None:
    context = ToolContext()
    context.progress(1, 2, "half")
    assert await context.confirm("Sure?") is None
    assert await context.elicit("Fill in", Report) is None


@pytest.mark.anyio
async def test_a_time_limit_stands_still_while_a_person_thinks() -> None:
    context = ToolContext()
    async with asyncio.timeout(30) as limit:  # noqa: ASYNC100  # only its clock is looked at
        with context.limited(limit):
            with context.waiting():
                assert limit.when() is None
            end = limit.when()
            assert end is not None
            assert end - asyncio.get_running_loop().time() == pytest.approx(30, abs=5)
        with context.waiting():
            assert limit.when() == end


@pytest.mark.anyio
async def test_a_context_of_ones_own_needs_no_slots() -> None:
    @dataclass
    class Counting(ToolContext):
        seen: int = 0

    async def count(context: ToolContext) -> int:
        """Count a call."""
        assert isinstance(context, Counting)
        context.seen += 1
        return context.seen

    output = await Tool.of(count).call({}, Counting())
    assert output.text == "1"
