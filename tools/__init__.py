"""The features of racto, by the name that switches each on. Adding one is one new file and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..knowledge.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..agents.offers import Toolset
    from .services import Services

TOOLSETS = {
    "prompts": "prompts",
    "pages": "pages",
    "rag": "rag",
    "sql": "sql_tools",
    "chat": "chat",
    "models": "models",
    "usage": "usage",
    "contexts": "contexts",
    "templates": "templates",
}
"""Name of the toolset → module in this room with a `toolset(services) -> Toolset`."""


def load(names: Iterable[str], services: Services) -> list[Toolset]:
    """The toolsets of these names, in the order of the table.

    :raises UnknownNameError: a name is not in the table.
    """
    wanted = set(names)
    for name in wanted - TOOLSETS.keys():
        raise unknown_name("toolset", name, TOOLSETS)
    return [
        import_module(f".{module}", __name__).toolset(services) for name, module in TOOLSETS.items() if name in wanted
    ]
