"""Token truncation under the name the specification gives its module."""

from racto.agents.truncation import TokenTruncator, TruncationConfig

__all__ = ["TokenTruncator", "TruncationConfig"]
