"""What tools, resources and prompts give, in the words of MCP."""

from __future__ import annotations

import base64

import mcp_types as types
from mcp_types.version import is_version_at_least

from ..agents.calls import Blob, Content, Embedded, Link, Text

_AUDIO_SINCE = "2025-03-26"
_LINKS_SINCE = "2025-06-18"


def to_block(part: Content, version: str) -> types.ContentBlock:
    """`part` as a content block that a client of protocol `version` knows.

    A client that is too old for sound gets an embedded resource, one that is too old for links gets their address as text.
    """
    match part:
        case Text():
            return types.TextContent(text=part.text)
        case Blob() if not part.mime_type.startswith("audio/"):
            return types.ImageContent(data=part.base64_data, mime_type=part.mime_type)
        case Blob() if is_version_at_least(version, _AUDIO_SINCE):
            return types.AudioContent(data=part.base64_data, mime_type=part.mime_type)
        case Blob():
            return types.EmbeddedResource(resource=to_contents("racto://sound", part.data, part.mime_type))
        case Link() if is_version_at_least(version, _LINKS_SINCE):
            return types.ResourceLink(
                uri=part.uri, name=part.name, description=part.description or None, mime_type=part.mime_type
            )
        case Link():
            return types.TextContent(text=f"{part.name}: {part.uri}")
        case Embedded():
            return types.EmbeddedResource(resource=to_contents(part.uri, part.data, part.mime_type))


def to_contents(uri: str, data: str | bytes, mime_type: str) -> types.TextResourceContents | types.BlobResourceContents:
    """The contents of one resource: text as text, bytes as base-64."""
    if isinstance(data, str):
        return types.TextResourceContents(uri=uri, text=data, mime_type=mime_type)
    return types.BlobResourceContents(uri=uri, blob=base64.b64encode(data).decode("ascii"), mime_type=mime_type)
