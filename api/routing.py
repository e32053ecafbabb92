"""The cost-aware router under the name the specification gives its module."""

from racto.agents.routing import CostAwareRouter, RoutingTier

__all__ = ["CostAwareRouter", "RoutingTier"]
