"""One connection, both protocol eras: the handshake (2024-11-05 to 2025-11-25) and the stateless one (2026-07-28).

The SDK's own loop settles on the era of the first request and refuses the other. Hosts ask `server/discover` first and then
`initialize` on the same connection, so here every request is served in the era it is written in.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from mcp.server.connection import Connection, NotifyOnlyOutbound
from mcp.server.lowlevel import Server
from mcp.server.runner import ServerRunner, aclose_shielded, serve_one
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext
from mcp_types import INTERNAL_ERROR, PROTOCOL_VERSION_META_KEY
from pydantic import ValidationError

logger = logging.getLogger(__name__)

Dispatch = DispatchContext[TransportContext]
Params = Mapping[str, Any] | None


async def serve_streams(
    server: Server[Any], read: ReadStream[SessionMessage | Exception], write: WriteStream[SessionMessage]
) -> None:
    """Serve one client over a pair of message streams until the reading one ends; closes both.

    What is still running then is cancelled and answered with an error.
    """
    async with server.lifespan(server) as state:
        dispatcher: JSONRPCDispatcher[TransportContext] = JSONRPCDispatcher(
            read, write, inline_methods=frozenset({"initialize"})
        )
        session = Connection.for_loop(dispatcher)
        runner = ServerRunner(server, session, state)
        notifications = NotifyOnlyOutbound(dispatcher)

        async def stateless(context: Dispatch, method: str, params: Params) -> dict[str, Any]:
            route = classify_inbound_request({"method": method, "params": params})
            if isinstance(route, InboundLadderRejection):
                raise MCPError(code=route.code, message=route.message, data=route.data)
            connection = Connection.from_envelope(
                route.protocol_version, route.client_info, route.client_capabilities, outbound=notifications
            )
            # This era forbids requests from server to client, though the wire could carry them.
            cast(Any, context).transport = replace(context.transport, can_send_request=False)
            return await serve_one(server, context, method, params, connection=connection, lifespan_state=state)

        async def on_request(context: Dispatch, method: str, params: Params) -> dict[str, Any]:
            try:
                if method != "initialize" and _is_stateless(params):
                    return await stateless(context, method, params)
                return await runner.on_request(context, method, params)
            except (MCPError, ValidationError):
                raise  # the dispatcher turns these into the errors they are
            except Exception as error:
                logger.exception("the handler of %s failed", method)
                raise MCPError(code=INTERNAL_ERROR, message="Internal server error") from error

        try:
            await dispatcher.run(on_request, runner.on_notify)
        finally:
            await aclose_shielded(session)


def _is_stateless(params: Params) -> bool:
    meta = (params or {}).get("_meta")
    return isinstance(meta, Mapping) and PROTOCOL_VERSION_META_KEY in meta
