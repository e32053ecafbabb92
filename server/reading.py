"""What clients read and pick besides tools: resources, prompts, and the values that complete their arguments."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from mcp_types.version import is_version_at_least

from ..agents.offers import VIEW_MIME_TYPE, Observable, PromptEntry, PromptFamily, ResourceEntry, ResourceFamily
from ..agents.workers import Workers
from ..knowledge.errors import InputError, TimeLimitError, UnknownNameError, unknown_name
from .changes import Changes, PromptsListChanged, ResourcesListChanged, ResourceUpdated
from .content import to_block, to_contents

PAGE_SIZE = 100
ANSWER_SECONDS = 60.0
"""How long a family may take; most hosts give up after as many."""
COMPLETION_LIMIT = 100
"""What the protocol allows in one answer."""

_RESOURCE_NOT_FOUND = -32002
"""The code of a missing resource up to 2025-11-25; since then it is an invalid parameter."""

_APPS = "io.modelcontextprotocol/ui"
"""MCP Apps (SEP-1865), named here because `mcp.server.apps` brings a whole second server with it."""

P = ParamSpec("P")
T = TypeVar("T")


class Reading:
    """The resources and prompts a server offers, by family, and the handlers that serve them.

    :param server: Gets the handlers of a kind with the first family of that kind, so clients are promised only what there is.
    :param changes: Told when a family says that it changed.
    """

    def __init__(self, server: Server[Any], changes: Changes) -> None:
        self._server = server
        self._changes = changes
        self._resources: list[tuple[UriTemplate, ResourceFamily]] = []
        self._prompts: list[PromptFamily] = []
        self._workers = Workers(8)

    def add_resources(self, family: ResourceFamily) -> None:
        """Offer what `family` has. Families are tried in the order they were added."""
        self._resources.append((UriTemplate.parse(family.template), family))
        handle = self._server.add_request_handler
        handle("resources/list", types.PaginatedRequestParams, self._list_resources)
        handle("resources/templates/list", types.PaginatedRequestParams, self._list_templates)
        handle("resources/read", types.ReadResourceRequestParams, self._read)
        handle("completion/complete", types.CompleteRequestParams, self._complete)
        self._changes.serve_watching(self._server)
        if family.mime_type == VIEW_MIME_TYPE:
            self._server.extensions[_APPS] = {}
        if isinstance(family, Observable):
            family.subscribe(self._resources_changed)

    def add_prompts(self, family: PromptFamily) -> None:
        """Offer the prompts of `family`."""
        self._prompts.append(family)
        handle = self._server.add_request_handler
        handle("prompts/list", types.PaginatedRequestParams, self._list_prompts)
        handle("prompts/get", types.GetPromptRequestParams, self._get_prompt)
        handle("completion/complete", types.CompleteRequestParams, self._complete)
        if isinstance(family, Observable):
            family.subscribe(self._prompts_changed)

    def _resources_changed(self, uri: str | None = None) -> None:
        self._changes.announce(ResourcesListChanged())
        if uri is not None:
            self._changes.announce(ResourceUpdated(uri))

    def _prompts_changed(self, uri: str | None = None) -> None:
        self._changes.announce(PromptsListChanged())

    async def _list_resources(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams
    ) -> types.ListResourcesResult:
        def entries() -> Iterable[ResourceEntry]:
            return itertools.chain.from_iterable(family.entries() for _, family in self._resources)

        page, cursor = await self._ask(_page, entries, params.cursor)
        return types.ListResourcesResult(resources=[_resource(entry) for entry in page], next_cursor=cursor)

    async def _list_templates(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=family.template,
                    name=family.name,
                    description=family.description,
                    mime_type=family.mime_type,
                )
                for template, family in self._resources
                if template.variable_names
            ]
        )

    async def _read(
        self, context: ServerRequestContext[Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        missing: UnknownNameError | None = None
        for template, family in self._resources:
            found = template.match(params.uri)
            if found is None:
                continue
            variables = {name: value for name, value in found.items() if isinstance(value, str)}
            try:
                parts = await self._ask(family.read, variables)
            except UnknownNameError as error:
                missing = error
            else:
                return types.ReadResourceResult(
                    contents=[to_contents(params.uri, part, family.mime_type) for part in parts]
                )
        retired = is_version_at_least(context.protocol_version, "2026-07-28")
        raise MCPError(
            types.INVALID_PARAMS if retired else _RESOURCE_NOT_FOUND,
            str(missing or f"There is no resource {params.uri!r}."),
            {"uri": params.uri},
        )

    async def _list_prompts(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams
    ) -> types.ListPromptsResult:
        page, cursor = await self._ask(_page, self._prompt_entries, params.cursor)
        return types.ListPromptsResult(prompts=[_prompt(entry) for entry in page], next_cursor=cursor)

    async def _get_prompt(
        self, context: ServerRequestContext[Any], params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        messages = await self._first_prompt(
            params.name, lambda family: family.render(params.name, params.arguments or {})
        )
        version = context.protocol_version
        return types.GetPromptResult(
            messages=[
                types.PromptMessage(role=message.role, content=to_block(message.content, version))
                for message in messages
            ]
        )

    async def _complete(
        self, context: ServerRequestContext[Any], params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        argument, ref = params.argument, params.ref
        if isinstance(ref, types.PromptReference):
            given = (params.context.arguments if params.context else None) or {}
            values = await self._first_prompt(
                ref.name, lambda family: family.complete(ref.name, argument.name, argument.value, given)
            )
        else:
            families = {family.template: family for _, family in self._resources}
            if ref.uri not in families:
                raise unknown_name("resource template", ref.uri, families)
            values = await self._ask(families[ref.uri].complete, argument.name, argument.value)
        return types.CompleteResult(
            completion=types.Completion(
                values=list(values[:COMPLETION_LIMIT]), total=len(values), has_more=len(values) > COMPLETION_LIMIT
            )
        )

    async def _ask(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What a family says; it may block, so it is asked in a thread.

        :raises TimeLimitError: it says nothing in time.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS) as limit:
                answer: T = await self._workers.run(function, *args, **named)
                return answer
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeLimitError(f"There was no answer in {ANSWER_SECONDS:g} s.", "Try again later.") from None

    def _prompt_entries(self) -> Iterable[PromptEntry]:
        return itertools.chain.from_iterable(family.entries() for family in self._prompts)

    async def _first_prompt(self, name: str, ask: Callable[[PromptFamily], Sequence[T]]) -> Sequence[T]:
        """What the first family that knows the prompt `name` answers."""
        for family in self._prompts:
            try:
                return await self._ask(ask, family)
            except UnknownNameError:
                continue
        known = await self._ask(lambda: [entry.name for entry in self._prompt_entries()])
        raise unknown_name("prompt", name, known)


def _page(entries: Callable[[], Iterable[T]], cursor: str | None) -> tuple[list[T], str | None]:
    """One page of `entries` and the cursor of the next; a cursor is how many entries come before it."""
    if cursor is not None and not re.fullmatch("[0-9]{1,9}", cursor):
        raise InputError(f"There is no page {cursor[:40]!r}.", "Start again without a cursor.")
    start = int(cursor or 0)
    page = list(itertools.islice(entries(), start, start + PAGE_SIZE + 1))
    return page[:PAGE_SIZE], str(start + PAGE_SIZE) if len(page) > PAGE_SIZE else None


def _resource(entry: ResourceEntry) -> types.Resource:
    return types.Resource(
        uri=entry.uri,
        name=entry.name,
        description=entry.description or None,
        mime_type=entry.mime_type,
        size=entry.size,
        annotations=types.Annotations(last_modified=entry.modified) if entry.modified else None,
    )


def _prompt(entry: PromptEntry) -> types.Prompt:
    return types.Prompt(
        name=entry.name,
        description=entry.description or None,
        arguments=[
            types.PromptArgument(
                name=argument.name, description=argument.description or None, required=argument.required
            )
            for argument in entry.arguments
        ],
    )
