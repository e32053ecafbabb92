"""The server the official conformance suite asks for, made of our own registry, families and transports.

Run it with `python -m tests.conformance.server PORT`; port 0 takes a free one. The log on stderr names the address.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import mcp_types as types
from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from racto.agents.calls import Blob, Content, Embedded, Text
from racto.agents.offers import (
    Changed,
    PromptArgument,
    PromptEntry,
    PromptMessage,
    ResourceEntry,
    ResourceFamily,
    Toolset,
)
from racto.knowledge.errors import unknown_name
from racto.server.mcp import RactoMCPServer

from tests.conformance.tools import PNG, Name, question, registry, schema_tool


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
    resources: list[ResourceFamily] = [
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
    logging.basicConfig(level=logging.INFO)
    build().run("http", port=int(sys.argv[1]))
