"""The last turns of conversations where every server of a fleet sees them. The database of each server has its own conversations whole, with
files and summaries; what other servers added to one is fetched when it goes on here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from ..knowledge.errors import StorageError
from ..knowledge.vocabulary import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..knowledge.chat_memory import ChatMemory
    from ..knowledge.contexts import ContextStore

log = logging.getLogger(__name__)


class SharedTurns:
    """The turns of conversations, by name and owner. Where they cannot be reached, a server goes on with its own.

    :param memory: Keeps the text of the last of them.
    """

    def __init__(self, memory: ChatMemory) -> None:
        self._memory = memory

    async def catch_up(self, contexts: ContextStore, name: str, owner: str) -> None:
        """Add to a conversation what other servers added to it and this one does not have."""
        try:
            told = [Message.model_validate(each) for each in await self._memory.aget_history(_key(name, owner))]
        except StorageError as error:
            log.warning("The conversation %s may lack turns of other servers: %s", name, error)
            return
        here = Counter(pairwise(_said(await asyncio.to_thread(contexts.window, name, owner))))
        # Known is what has a neighbour here too, as often as it has it there: "Go on." may be said again and again.
        both = [False]
        for pair in pairwise(_said(told)):
            both.append(here[pair] > 0)
            here[pair] -= 1
        both.append(False)
        if missing := [each for place, each in enumerate(told) if not (both[place] or both[place + 1])]:
            await asyncio.to_thread(contexts.append, name, *missing, owner=owner)

    async def add(self, name: str, owner: str, *messages: Message) -> None:
        """Tell the other servers of new messages."""
        try:
            for each in messages:
                await self._memory.aappend(_key(name, owner), each.role, each.content)
        except StorageError as error:
            log.warning("Other servers do not know the last turn of %s: %s", name, error)

    async def forget(self, name: str, owner: str) -> None:
        """Forget a conversation.

        :raises StorageError: they cannot be reached, so it is not forgotten.
        """
        await self._memory.aclear(_key(name, owner))


def _said(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(each.role, each.content) for each in messages]


def _key(name: str, owner: str) -> str:
    return json.dumps([owner, name])
