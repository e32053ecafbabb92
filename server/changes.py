"""Telling clients that a list they hold, or a resource they watch, is no longer what it was.

A client of 2026-07-28 asks with `subscriptions/listen`; an older one is told from the moment it is initialized, and says with
`resources/subscribe` which resources it watches. Both hang on one bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.server.subscriptions import (
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import event_to_notification

__all__ = ["Changes", "PromptsListChanged", "ResourceUpdated", "ResourcesListChanged", "ToolsListChanged"]

DELAY_SECONDS = 0.05
"""How long an event waits for others like it: a thousand saved documents are one notification every so often, not a thousand."""


class _Follower:
    """One listener, on its own event loop, and what it has not been told yet."""

    def __init__(self, tell: Callable[[ServerEvent], None]) -> None:
        self.tell = tell
        self.loop = asyncio.get_running_loop()
        self.waiting: set[ServerEvent] = set()

    def deliver(self, event: ServerEvent) -> None:
        self.waiting.discard(event)
        self.tell(event)


class Changes:
    """A bus of changes that any thread may announce on (the SDK's `SubscriptionBus`)."""

    def __init__(self) -> None:
        self._followers: dict[object, _Follower] = {}
        self._watched: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    def serve(self, server: Server[Any]) -> None:
        """Tell the clients of `server`, of either era, about changes."""
        server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, ListenHandler(self))
        server.add_notification_handler("notifications/initialized", types.NotificationParams, self._follow)

    def serve_watching(self, server: Server[Any]) -> None:
        """Let older clients of `server` say which resources they watch."""
        server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, self._watch)
        server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, self._unwatch)

    def announce(self, event: ServerEvent) -> None:
        """Tell every listener about `event`, soon. From any thread; never waits."""
        with self._lock:
            followers = [follower for follower in self._followers.values() if event not in follower.waiting]
            for follower in followers:
                follower.waiting.add(event)
        for follower in followers:
            with contextlib.suppress(RuntimeError):  # its event loop closed before it could unsubscribe
                follower.loop.call_soon_threadsafe(follower.loop.call_later, DELAY_SECONDS, follower.deliver, event)

    async def publish(self, event: ServerEvent) -> None:
        """The same as `announce`, as the SDK wants it."""
        self.announce(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Call `listener` on the running event loop for every event.

        :returns: What ends the subscription; calling it twice is harmless.
        """
        token = object()
        with self._lock:
            self._followers[token] = _Follower(listener)

        def unsubscribe() -> None:
            with self._lock:
                self._followers.pop(token, None)

        return unsubscribe

    async def _follow(self, context: ServerRequestContext[Any], params: types.NotificationParams) -> None:
        """Tell one older client about changes as long as its connection lives: its end cancels this handler."""
        news: dict[ServerEvent, None] = {}
        arrived = asyncio.Event()

        def note(event: ServerEvent) -> None:
            if not isinstance(event, ResourceUpdated) or event.uri in watched:
                news[event] = None
                arrived.set()

        connection = id(context.session.client_params)
        watched = self._watched[connection] = set()
        unsubscribe = self.subscribe(note)
        try:
            while await arrived.wait():
                arrived.clear()
                while news:
                    event = next(iter(news))
                    del news[event]
                    await context.session.send_notification(event_to_notification(event, {}))
        finally:
            unsubscribe()
            del self._watched[connection]

    async def _watch(
        self, context: ServerRequestContext[Any], params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        self._uris(context).add(params.uri)
        return types.EmptyResult()

    async def _unwatch(
        self, context: ServerRequestContext[Any], params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        self._uris(context).discard(params.uri)
        return types.EmptyResult()

    def _uris(self, context: ServerRequestContext[Any]) -> set[str]:
        """What the client behind `context` watches; its parameters are one object for the whole of a connection."""
        watched = self._watched.get(id(context.session.client_params))
        if watched is None:
            raise MCPError(types.INVALID_REQUEST, "Send notifications/initialized before subscribing.")
        return watched
