"""The SQL analyst: databases of the settings as tools, and `SQLAnalystPipeline` for Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...agents.offers import Toolset
    from ..services import Services


def toolset(services: Services) -> Toolset:
    """The tools over the configured databases; none where none is configured, so that nobody pays for reading about them."""
    from ...agents.offers import Toolset

    if not services.databases.listed:
        return Toolset("sql")
    from .tools import offered

    return offered(services)
