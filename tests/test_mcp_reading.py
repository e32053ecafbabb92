"""Resources, prompts and completion as an MCP client sees them, in both protocol eras."""

from __future__ import annotations

import asyncio
import threading

import mcp_types as types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError

from tests.mcp_clients import ERAS, PATIENCE, connected
from tests.mcp_families import Notes, greeting, reading

pytestmark = pytest.mark.anyio


async def test_what_is_listed_can_be_read(era: str) -> None:
    notes: dict[str, str | bytes] = {"plain": "a", "with space/and slash": "b", "bytes": b"\xff\x00"}
    async with connected(reading(Notes(notes)), era) as client:
        listed = (await client.list_resources()).resources
        assert [resource.name for resource in listed] == list(notes)
        assert (listed[0].size, listed[0].description) == (3, "About plain.")
        assert listed[0].annotations == types.Annotations(last_modified="2026-07-28T00:00:00Z")
        contents = [(await client.read_resource(resource.uri)).contents[0] for resource in listed]
    assert [type(content) for content in contents] == [types.TextResourceContents] * 2 + [types.BlobResourceContents]
    assert [content.uri for content in contents] == [resource.uri for resource in listed]
    assert contents[1].model_dump()["text"] == "b"
    assert contents[2].model_dump()["blob"] == "/wA="
    assert contents[0].mime_type == "text/markdown"


async def test_a_template_is_listed_and_a_template_without_variables_is_just_a_resource(era: str) -> None:
    single = Notes({})
    single.template = "note-index://all"
    async with connected(reading(Notes({}), single), era) as client:
        (template,) = (await client.list_resource_templates()).resource_templates
    assert (template.uri_template, template.name, template.mime_type) == ("note://{name}", "notes", "text/markdown")


@pytest.mark.parametrize("uri", ["note://nothing", "other://place", "note://a/b"])
async def test_a_missing_resource_is_an_error_of_its_era_with_its_uri(era: str, uri: str) -> None:
    async with connected(reading(Notes({"note": "x"})), era) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
    assert caught.value.code == (-32002 if era == "legacy" else types.INVALID_PARAMS)
    assert caught.value.data == {"uri": uri}


async def test_a_resource_that_breaks_says_only_where_to_look(era: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connected(reading(Notes({})), era) as client:
        with pytest.raises(MCPError, match=r"Internal error [0-9a-f]{8}") as caught:
            await client.read_resource("note://broken")
    assert caught.value.code == types.INTERNAL_ERROR
    number = str(caught.value).split()[2].rstrip(";")
    assert number in caplog.text
    assert "hunter2" not in str(caught.value)


async def test_a_resource_that_hangs_costs_its_reader_a_while_and_others_nothing(
    era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racto.server.reading.ANSWER_SECONDS", 0.1)
    let_go = threading.Event()
    notes = Notes({"quick": "here"})
    slow = Notes({"slow": ""})
    slow.template = "slow://{name}"
    slow.read = lambda variables: ["late"] if let_go.wait(PATIENCE) else []  # type: ignore[method-assign]  # it hangs
    try:
        async with connected(reading(notes, slow), era) as client:
            with pytest.raises(MCPError, match=r"no answer in 0\.1 s"):
                await client.read_resource("slow://slow")
            assert "here" in str(await client.read_resource("note://quick"))
    finally:
        let_go.set()


async def listed(client: Client) -> list[str]:
    """The names of all resources, page after page; no page is empty or longer than a hundred."""
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = await client.list_resources(cursor=cursor)
        assert len(page.resources) <= 100
        names += [resource.name for resource in page.resources]
        cursor = page.next_cursor
        if cursor is None:
            return names
        assert page.resources


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 230), max_size=3), mode=st.sampled_from(ERAS))
def test_pages_put_together_are_the_whole_list(sizes: list[int], mode: str) -> None:
    families = [Notes({f"{number}-{n}": "" for n in range(size)}) for number, size in enumerate(sizes)]
    families = families or [Notes({})]

    async def collect() -> list[str]:
        async with connected(reading(*families), mode) as client:
            return await listed(client)

    assert asyncio.run(collect()) == [name for family in families for name in family.notes]


@settings(max_examples=100, deadline=None)
@given(name=st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable() and text != "broken"))
def test_any_name_can_be_part_of_an_address(name: str) -> None:
    async def read() -> types.ReadResourceResult:
        async with connected(reading(Notes({name: "here"})), "2026-07-28") as client:
            (resource,) = (await client.list_resources()).resources
            return await client.read_resource(resource.uri)

    assert asyncio.run(read()).contents[0].model_dump()["text"] == "here"


@pytest.mark.parametrize("cursor", ["first", "-1", "٣", "", "9" * 30])
async def test_a_made_up_cursor_is_refused(era: str, cursor: str) -> None:
    async with connected(reading(Notes({"a": ""})), era) as client:
        with pytest.raises(MCPError, match="page") as caught:
            await client.list_resources(cursor=cursor)
    assert caught.value.code == types.INVALID_PARAMS


async def test_prompts_of_every_family_are_listed_and_rendered(era: str) -> None:
    async with connected(greeting("hello")[0], era) as client:
        prompts = (await client.list_prompts()).prompts
        assert [prompt.name for prompt in prompts] == ["hello", "second"]
        assert prompts[0].arguments == [types.PromptArgument(name="whom", description="Who", required=True)]
        for name in ("hello", "second"):
            (message,) = (await client.get_prompt(name, {"whom": "Ada"})).messages
            assert (message.role, message.content) == ("user", types.TextContent(text=f"{name}, Ada!"))


async def test_a_wrong_prompt_or_a_missing_argument_is_an_invalid_parameter(era: str) -> None:
    async with connected(greeting("hello")[0], era) as client:
        with pytest.raises(MCPError, match="Did you mean 'hello'") as unknown:
            await client.get_prompt("helo", {"whom": "Ada"})
        with pytest.raises(MCPError, match="needs 'whom'") as missing:
            await client.get_prompt("hello")
    assert unknown.value.code == missing.value.code == types.INVALID_PARAMS


async def test_arguments_of_prompts_are_completed(era: str) -> None:
    async with connected(greeting("hello")[0], era) as client:
        ref = types.PromptReference(name="second")
        completion = (await client.complete(ref, {"name": "whom", "value": "A"}, {"title": "Dr "})).completion
        assert completion == types.Completion(values=["Dr Ada", "Dr Alan"], total=2, has_more=False)
        with pytest.raises(MCPError, match="no prompt named"):
            await client.complete(types.PromptReference(name="third"), {"name": "whom", "value": ""})


async def test_variables_of_templates_are_completed_a_hundred_at_most(era: str) -> None:
    async with connected(reading(Notes({f"n{n}": "" for n in range(150)})), era) as client:
        ref = types.ResourceTemplateReference(uri="note://{name}")
        completion = (await client.complete(ref, {"name": "name", "value": "n"})).completion
        assert (len(completion.values), completion.total, completion.has_more) == (100, 150, True)
        with pytest.raises(MCPError, match=r"note://\{name\}"):
            await client.complete(types.ResourceTemplateReference(uri="note://{nme}"), {"name": "nme", "value": ""})
