"""The low-level gateway under the name the specification gives its module."""

from racto.agents.kits import Gateway

__all__ = ["Gateway"]
