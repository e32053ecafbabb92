"""The server the official conformance suite asks for, made of our own registry, families and transports.

The suite calls tools, resources and prompts of fixed names. Whatever the product can do goes through the product: `context.elicit`,
`context.progress`, the families, the change bus. What it leaves out on purpose (sampling, logging and roots are deprecated) is done
here with the SDK's request context. Run it with `python -m tests.conformance.server PORT`.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from racto.agents.calls import Blob, Content, Embedded, Text, ToolContext
from racto.agents.offers import Changed, PromptArgument, PromptEntry, PromptMessage, ResourceEntry, Toolset
from racto.agents.toolbox import Tool, ToolRegistry
from racto.knowledge.errors import RactoError, unknown_name
from racto.server.context import InputNeededError, MCPToolContext
from racto.server.mcp import RactoMCPServer

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
    assert tool is not None
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


@dataclasses.dataclass
class Fixed:
    """One resource that is always the same."""

    template: str
    mime_type: str
    data: str | bytes
    name: str = "fixed"
    description: str = "A resource that is always the same."

    def entries(self) -> Iterable[ResourceEntry]:
        return [ResourceEntry(self.template, self.name, self.description, self.mime_type)]

    def read(self, variables: Mapping[str, str]) -> Sequence[str | bytes]:
        return [self.data]

    def complete(self, variable: str, prefix: str) -> Sequence[str]:
        return []


class Numbered:
    """A resource for every id."""

    template = "test://template/{id}/data"
    name = "numbered"
    description = "Data for an id."
    mime_type = "application/json"

    def entries(self) -> Iterable[ResourceEntry]:
        return []

    def read(self, variables: Mapping[str, str]) -> Sequence[str | bytes]:
        number = variables["id"]
        return [json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})]

    def complete(self, variable: str, prefix: str) -> Sequence[str]:
        return [number for number in ("123", "124", "200") if number.startswith(prefix)]


class Prompts:
    """The prompts of the suite."""

    def __init__(self) -> None:
        self._changed: list[Changed] = []

    def entries(self) -> Iterable[PromptEntry]:
        arguments = [PromptArgument("arg1", "First test argument", True), PromptArgument("arg2", "Second", True)]
        uri = PromptArgument("resourceUri", "URI of the resource to embed", True)
        return [
            PromptEntry("test_simple_prompt", "One text."),
            PromptEntry("test_prompt_with_arguments", "Two arguments.", arguments),
            PromptEntry("test_prompt_with_embedded_resource", "A resource and a text.", [uri]),
            PromptEntry("test_prompt_with_image", "An image and a text."),
            PromptEntry("test_input_required_result_prompt", "Asks for its context first."),
        ]

    def render(self, name: str, arguments: Mapping[str, str]) -> Sequence[PromptMessage]:
        contents: dict[str, list[Content]] = {
            "test_simple_prompt": [Text("This is a simple prompt for testing.")],
            "test_prompt_with_arguments": [
                Text(f"Prompt with arguments: arg1='{arguments.get('arg1')}', arg2='{arguments.get('arg2')}'")
            ],
            "test_prompt_with_embedded_resource": [
                Embedded(arguments.get("resourceUri", ""), "Embedded resource content for testing."),
                Text("Please process the embedded resource above."),
            ],
            "test_prompt_with_image": [Blob(PNG, "image/png"), Text("Please analyze the image above.")],
        }
        if name not in contents:
            raise unknown_name("prompt", name, contents)
        return [PromptMessage("user", content) for content in contents[name]]

    def complete(self, name: str, argument: str, prefix: str, given: Mapping[str, str]) -> Sequence[str]:
        return [city for city in ("paris", "park", "party", "rome") if city.startswith(prefix)]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        self._changed.append(changed)
        return lambda: self._changed.remove(changed)

    def test_trigger_prompt_change(self) -> str:
        """Changes the list of prompts."""
        for changed in self._changed:
            changed()
        return "changed"


def build() -> RactoMCPServer:
    """The fixture server."""
    server = RactoMCPServer.from_registry(registry, name="racto-conformance", description="For the conformance suite.")
    prompts = Prompts()
    resources = [
        Fixed("test://static-text", "text/plain", "This is the content of the static text resource."),
        Fixed("test://static-binary", "image/png", PNG),
        Fixed("test://watched-resource", "text/plain", "Watch me."),
        Numbered(),
    ]
    tools = [prompts.test_trigger_prompt_change]
    server.add_toolset(Toolset("conformance", tools, resources, [prompts]))
    registry.register(schema_tool())
    add_raw_handlers(server)
    return server


def add_raw_handlers(server: RactoMCPServer) -> None:
    """What only the SDK's own interface can do: log levels, a prompt that asks, a call refused for the client it comes from."""
    get_prompt = server.lowlevel.get_request_handler("prompts/get")
    call_tool = server.lowlevel.get_request_handler("tools/call")
    assert get_prompt is not None
    assert call_tool is not None

    async def set_level(request: ServerRequestContext[Any], params: types.SetLevelRequestParams) -> types.EmptyResult:
        return types.EmptyResult()

    async def ask_then_prompt(request: ServerRequestContext[Any], params: types.GetPromptRequestParams) -> Any:
        if params.name != "test_input_required_result_prompt":
            return await get_prompt.handler(request, params)
        answer = (params.input_responses or {}).get("user_context")
        if answer is None:
            asking = {"user_context": question("What context should the prompt use?", Name)}
            return types.InputRequiredResult(input_requests=dict(asking))
        text = types.TextContent(text=f"Use this context: {answer}")
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text)])

    async def refuse_or_call(request: ServerRequestContext[Any], params: types.CallToolRequestParams) -> Any:
        capabilities = request.session.client_capabilities
        if params.name == "test_missing_capability" and (capabilities is None or capabilities.sampling is None):
            needed = types.ClientCapabilities(sampling=types.SamplingCapability())
            data = types.MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
            raise MCPError(
                types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                "This tool needs a client with a model.",
                data.model_dump(by_alias=True, mode="json", exclude_none=True),
            )
        return await call_tool.handler(request, params)

    server.lowlevel.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    server.lowlevel.add_request_handler("prompts/get", types.GetPromptRequestParams, ask_then_prompt)
    server.lowlevel.add_request_handler("tools/call", types.CallToolRequestParams, refuse_or_call)


if __name__ == "__main__":
    build().run("http", port=int(sys.argv[1]))
