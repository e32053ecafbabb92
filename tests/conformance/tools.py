"""The tools the official conformance suite calls by name.

Whatever the product can do goes through the product: `context.elicit`, `context.confirm`, `context.progress`. What it leaves out on
purpose (sampling, logging and roots are deprecated) is done here with the SDK's request context.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import mcp_types as types
from mcp.shared.exceptions import MCPDeprecationWarning
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from racto.agents.calls import Blob, Content, Embedded, Text, ToolContext
from racto.agents.toolbox import Tool, ToolRegistry
from racto.knowledge.errors import RactoError
from racto.server.context import InputNeededError, MCPToolContext

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)
WAV = b"RIFF\x26\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x02\x00\x00\x00\x00\x00"
STEP_SECONDS = 0.05
"""The pause the suite asks for between two reports."""

registry = ToolRegistry()


def asked(context: ToolContext) -> MCPToolContext:
    """The context with the SDK's request in it, which every call here has."""
    assert isinstance(context, MCPToolContext)
    return context


@registry.register
def test_simple_text() -> str:
    """Answers with one text."""
    return "This is a simple text response for testing."


@registry.register
def test_image_content() -> Blob:
    """Answers with one image."""
    return Blob(PNG, "image/png")


@registry.register
def test_audio_content() -> Blob:
    """Answers with one sound."""
    return Blob(WAV, "audio/wav")


@registry.register
def test_embedded_resource() -> Embedded:
    """Answers with one resource in full."""
    return Embedded("test://embedded-resource", "This is an embedded resource content.")


@registry.register
def test_multiple_content_types() -> list[Content]:
    """Answers with a text, an image and a resource."""
    return [
        Text("Multiple content types test:"),
        Blob(PNG, "image/png"),
        Embedded("test://mixed-content-resource", json.dumps({"test": "data", "value": 123}), "application/json"),
    ]


@registry.register
def test_error_handling() -> None:
    """Always fails."""
    raise RactoError("This tool intentionally returns an error for testing")


@registry.register
async def test_tool_with_progress(context: ToolContext) -> str:
    """Reports progress three times."""
    for done in (0, 50, 100):
        context.progress(done, 100)
        await asyncio.sleep(STEP_SECONDS)
    return "done"


@registry.register
async def test_tool_with_logging(context: ToolContext) -> str:
    """Logs three times."""
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await log(context, message)
        await asyncio.sleep(STEP_SECONDS)
    return "done"


@registry.register
async def test_logging_tool(context: ToolContext) -> str:
    """Logs once, which a client that did not ask for logs must not see."""
    await log(context, "nobody asked")
    return "done"


async def log(context: ToolContext, message: str) -> None:
    """One log message on the stream of this call."""
    request = asked(context).request
    with deprecated():
        await request.session.send_log_message("info", message, related_request_id=request.request_id)


def deprecated() -> warnings.catch_warnings[None]:
    """A block in which the SDK's deprecated parts may be used: the suite still examines them."""
    return warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning)


@registry.register
async def test_sampling(prompt: str, context: ToolContext) -> str:
    """Asks the client's model."""
    request = asked(context).request
    with deprecated():
        result = await request.session.create_message(
            [said(prompt)], max_tokens=100, related_request_id=request.request_id
        )
    return f"LLM response: {result.content}"


def said(text: str) -> types.SamplingMessage:
    """A user's message to a model."""
    return types.SamplingMessage(role="user", content=types.TextContent(text=text))


class Contact(BaseModel):
    """Who answers."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


@registry.register
async def test_elicitation(message: str, context: ToolContext) -> str:
    """Asks who is there."""
    return f"User response: {await context.elicit(message, Contact)!r}"


class Defaults(BaseModel):
    """A form with a default of every kind."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


@registry.register
async def test_elicitation_sep1034_defaults(context: ToolContext) -> str:
    """Shows a form with defaults."""
    return f"Elicitation completed: {await context.elicit('Please check your details.', Defaults)!r}"


def choices(kind: str, **titles: str) -> dict[str, Any]:
    """Values with titles, as a form shows them."""
    return {kind: [{"const": value, "title": title} for value, title in titles.items()]}


class Choices(BaseModel):
    """A form with a choice of every kind."""

    model_config = ConfigDict(alias_generator=to_camel)

    untitled_single: Literal["option1", "option2", "option3"]
    titled_single: str = Field(json_schema_extra=choices("oneOf", value1="First Option", value2="Second Option"))
    legacy_enum: str = Field(json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]})
    untitled_multi: list[Literal["option1", "option2", "option3"]]
    titled_multi: list[str] = Field(
        json_schema_extra={"items": choices("anyOf", value1="First Choice", value2="Second Choice")}
    )


@registry.register
async def test_elicitation_sep1330_enums(context: ToolContext) -> str:
    """Shows a form with choices."""
    return f"Elicitation completed: {await context.elicit('Please choose.', Choices)!r}"


class Name(BaseModel):
    """A name."""

    name: str


class Color(BaseModel):
    """A colour."""

    color: str


@registry.register
async def test_input_required_result_multi_round(context: ToolContext) -> str:
    """Asks two questions, one after the other."""
    name = await context.elicit("Step 1: What is your name?", Name)
    color = await context.elicit("Step 2: What is your favorite color?", Color)
    return f"{name!r} likes {color!r}"


@registry.register
async def test_input_required_result_request_state(context: ToolContext) -> str:
    """Asks for a yes; the state it is remembered with was checked before this line is reached."""
    return f"state-ok: {await context.confirm('Please confirm')}"


@registry.register
async def test_input_required_result_tampered_state(context: ToolContext) -> str:
    """Asks for a yes, to a client that changes the state."""
    return f"confirmed: {await context.confirm('Please confirm')}"


@registry.register
async def test_streaming_elicitation(context: ToolContext) -> str:
    """Asks for a yes on a stream."""
    return f"confirmed: {await context.confirm('Go on?')}"


def question(message: str, model: type[BaseModel]) -> types.ElicitRequest:
    """A form, as a client of 2026-07-28 is asked to show it."""
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message=message, requested_schema=model.model_json_schema())
    )


def sampling(prompt: str) -> types.CreateMessageRequest:
    """A question to the client's model, as a client of 2026-07-28 is asked it."""
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[said(prompt)], max_tokens=100))


def answers_to(context: ToolContext, requests: Mapping[str, types.InputRequest]) -> dict[str, types.InputResponse]:
    """The client's answers to `requests`, which go out together.

    :raises InputNeededError: one is missing.
    """
    given = asked(context).params.input_responses or {}
    if not requests.keys() <= given.keys():
        raise InputNeededError(requests, {})
    return {key: given[key] for key in requests}


@registry.register
def test_input_required_result_elicitation(context: ToolContext) -> str:
    """Asks for a name under a fixed key."""
    answer = answers_to(context, {"user_name": question("What is your name?", Name)})["user_name"]
    assert isinstance(answer, types.ElicitResult)
    return f"Hello, {(answer.content or {}).get('name')}!"


@registry.register
def test_input_required_result_sampling(context: ToolContext) -> str:
    """Asks the client's model in between."""
    return str(answers_to(context, {"capital_question": sampling("What is the capital of France?")}))


@registry.register
def test_input_required_result_list_roots(context: ToolContext) -> str:
    """Asks for the client's roots in between."""
    return str(answers_to(context, {"client_roots": types.ListRootsRequest()}))


@registry.register
def test_input_required_result_multiple_inputs(context: ToolContext) -> str:
    """Asks three things at once."""
    return str(
        answers_to(
            context,
            {
                "user_name": question("What is your name?", Name),
                "greeting": sampling("Generate a greeting"),
                "client_roots": types.ListRootsRequest(),
            },
        )
    )


@registry.register
def test_input_required_result_capabilities(context: ToolContext) -> str:
    """Asks only what the client can answer."""
    capabilities = asked(context).request.session.client_capabilities or types.ClientCapabilities()
    requests: dict[str, types.InputRequest] = {}
    if capabilities.sampling is not None:
        requests["greeting"] = sampling("Generate a greeting")
    if capabilities.elicitation is not None:
        requests["user_name"] = question("What is your name?", Name)
    return str(answers_to(context, requests))


@registry.register
def test_missing_capability() -> str:
    """Needs a client with a model; who has none is refused before the call."""
    return "sampled"


@registry.register
async def test_reconnection(context: ToolContext) -> str:
    """Hangs up in the middle of the call; the client fetches the answer when it comes back."""
    close = asked(context).request.close_sse_stream
    if close is not None:
        await close()
    await asyncio.sleep(STEP_SECONDS)
    return "still here"


@registry.register
def test_custom_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Takes an argument that the client repeats in a header."""
    return region


@registry.register
def test_trigger_tool_change() -> str:
    """Changes the list of tools."""
    registry.register(test_simple_text, name="test_temporary", description="Here for a moment.")
    registry.unregister("test_temporary")
    return "changed"


def schema_tool() -> Tool:
    """A tool whose schema uses what ours never do."""

    def accept() -> str:
        return "accepted"

    plain = ToolRegistry()
    plain.register(accept, name="json_schema_2020_12_tool", description="Has a schema with many keywords.")
    tool = plain.get("json_schema_2020_12_tool")
    street = {"street": {"type": "string"}, "city": {"type": "string"}}
    return dataclasses.replace(
        tool,
        input_schema={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": street}},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": False,
        },
    )
