"""Conversations with models, kept under names: read, searched, summed up, deleted and brought back, and to read as resources."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import Changed, ResourceEntry, Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import DeclinedError, InputError
from .chat import PATIENCE, Model, ask, named
from .services import OWNER

if TYPE_CHECKING:
    from ..knowledge.context_rows import ContextInfo
    from ..knowledge.contexts import ContextHit, ContextStore
    from ..knowledge.database import Database
    from ..knowledge.vocabulary import Message
    from .services import Services

URI = "racto://contexts/"
_SUM_UP = (
    "Sum up this conversation for somebody who has to go on with it: what was asked, found, decided and left open, with names and "
    "numbers. Write at most 300 words."
)


def toolset(services: Services) -> Toolset:
    """The conversations of `services`, to work with and to read."""
    resources = ContextResources(services.database)
    tools = ContextTools(services, resources)
    return Toolset(
        "contexts",
        tools=(
            Tool.of(tools.context_list, read_only=True),
            Tool.of(tools.context_read, read_only=True),
            Tool.of(tools.context_search, read_only=True),
            Tool.of(tools.context_summarise, idempotent=True, open_world=True, timeout=PATIENCE),
            Tool.of(tools.context_delete, destructive=True),
            Tool.of(tools.context_restore, idempotent=True),
        ),
        resources=(resources,),
    )


@dataclass(frozen=True, slots=True)
class Contexts:
    """Some conversations, the one last added to first."""

    contexts: list[ContextInfo]

    def render(self) -> str:
        """One line for each."""
        lines = [
            f"{each.name} ({each.messages} messages, {each.updated_at[:16]}) {each.title}" for each in self.contexts
        ]
        return "\n".join(lines) or "There is no conversation yet; chat with a context_id begins one."


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation."""

    number: int
    role: str
    content: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a conversation."""

    name: str
    title: str
    total: int
    summary: str
    messages: list[Said]

    def render(self) -> str:
        """The messages, numbered."""
        lines = [f"{self.name}: {self.title} ({self.total} messages)"]
        lines += [f"[Summary] {self.summary}"] if self.summary else []
        lines += [f"[{each.number} {each.role}] {each.content}" for each in self.messages]
        if self.messages and self.messages[-1].number < self.total:
            lines.append(f"[Read on from {self.messages[-1].number + 1}.]")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Hits:
    """Messages that were found, the best first."""

    hits: list[ContextHit]

    def render(self) -> str:
        """Where each is, and its best stretch."""
        lines = [f"{each.context} [{each.number} {each.role}] {each.snippet}" for each in self.hits]
        return "\n".join(lines) or "Nothing was found."


class _Conversations:
    """Something over the conversations of a database, whose store is imported when first needed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def _store(self) -> ContextStore:
        from ..knowledge.contexts import ContextStore  # a server starts without it

        return ContextStore(self._database)


class ContextTools(_Conversations):
    """The tools; each method is one. A conversation belongs to who had it.

    :param services: The models, and where conversations are kept.
    :param resources: Told when a conversation comes or goes.
    """

    def __init__(self, services: Services, resources: ContextResources) -> None:
        super().__init__(services.database)
        self._services = services
        self._resources = resources

    def context_list(
        self,
        call: ToolContext,
        deleted: bool = False,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
        offset: Annotated[int, Field(ge=0)] = 0,
    ) -> Contexts:
        """List conversations kept by chat, the latest first."""
        return Contexts(self._store.find(call.caller.name, deleted=deleted, limit=limit, offset=offset))

    def context_read(
        self,
        name: str,
        call: ToolContext,
        start: Annotated[int, Field(ge=1, description="number of the first message")] = 1,
        limit: Annotated[int, Field(ge=1, le=500)] = 50,
    ) -> Part:
        """Read a conversation's messages and summary."""
        owner = call.caller.name
        info = self._store.get(name, owner)
        stored = self._store.read(name, owner, first=start, limit=limit)
        said = [Said(each.number, each.message.role.value, each.message.content, each.created_at) for each in stored]
        return Part(name, info.title, info.messages, info.summary, said)

    def context_search(
        self,
        query: str,
        call: ToolContext,
        name: Annotated[str, Field(description="in this conversation only")] = "",
        limit: Annotated[int, Field(ge=1, le=100)] = 10,
    ) -> Hits:
        """Find messages in kept conversations by their words."""
        return Hits(self._store.search(query, call.caller.name, name=name, limit=limit))

    async def context_summarise(
        self,
        name: str,
        call: ToolContext,
        model: Model = "",
        keep_last: Annotated[int, Field(ge=0, description="messages left out at the end")] = 6,
    ) -> str:
        """Have a model sum up the older part of a conversation, for later calls where the whole is too long."""
        models = await self._services.models()
        from ..knowledge.turns import transcript  # by now they are there
        from ..knowledge.vocabulary import ChatConfig

        wanted = await named(models, model)

        async def summarise(before: str, messages: Sequence[Message]) -> str:
            said = f"{before}\n\n{transcript(messages)}".strip()
            answer, _ = await ask(
                models, ChatConfig(user_message=f"{_SUM_UP}\n\n{said}", max_tokens=1024), call, wanted
            )
            return answer.text

        info = await self._store.summarise(name, summarise, call.caller.name, keep_last=keep_last)
        return info.summary or "There is nothing to sum up yet."

    async def context_delete(self, name: str, call: ToolContext, confirm: bool = False) -> str:
        """Delete a conversation; context_restore brings it back. The person is asked first.

        :param confirm: the person said yes
        """
        owner = call.caller.name
        info = await asyncio.to_thread(self._store.get, name, owner)
        answer = await call.confirm(f"Delete the conversation {name!r} ({info.messages} messages)?")
        if answer is False:
            raise DeclinedError(f"The conversation {name!r} was not deleted: the person said no.")
        if answer is None and not confirm:
            raise InputError(f"This would delete {name!r}.", "Ask the person, then call again with confirm=true.")
        if self._services.turns is not None:
            await self._services.turns.forget(name, owner)
        await asyncio.to_thread(self._store.delete, name, owner)
        self._resources.changed()
        return f"{name} is deleted. context_restore brings it back."

    def context_restore(self, name: str, call: ToolContext) -> str:
        """Bring a deleted conversation back."""
        info = self._store.restore(name, call.caller.name)
        self._resources.changed()
        return f"{name} is back, with {info.messages} messages."


class ContextResources(_Conversations):
    """The conversations of whoever runs racto, to read whole.

    :param database: Where they are kept.
    """

    template = URI + "{name}"
    name = "Conversations"
    description = "A conversation with a model, by its name."
    mime_type = "text/plain"

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._watchers: list[Changed] = []

    def entries(self) -> list[ResourceEntry]:
        """The latest of them."""
        return [
            ResourceEntry(URI + each.name, each.name, each.title, self.mime_type, modified=each.updated_at)
            for each in self._store.find(OWNER, limit=200)
        ]

    def read(self, variables: Mapping[str, str]) -> list[str]:
        """The whole conversation as text."""
        return [self._store.export(variables["name"], OWNER, "text")]

    def complete(self, variable: str, prefix: str) -> list[str]:
        """Names that start with `prefix`."""
        return [each.name for each in self._store.find(OWNER, limit=1000) if each.name.startswith(prefix)]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        """Call `changed` when a conversation was deleted or brought back."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    def changed(self) -> None:
        """Tell who watches."""
        for watcher in tuple(self._watchers):
            watcher()
