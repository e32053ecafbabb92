"""Who trains what, and until when: a dated table, asked before anything is uploaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from ...knowledge.errors import ConfigError, unknown_name

log = logging.getLogger(__name__)

READ_ON = date(2026, 11, 21)
"""The day the table was last revised."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One kind of training at one provider.

    :param models: Patterns of the names that can be tuned; `*` where the provider alone knows.
    :param closed: The first day no new job is taken; `date.min` when there never was a way.
    :param instead: What to use when it is closed.
    :param source: Where it is written.
    """

    provider: str
    method: str
    models: tuple[str, ...]
    source: str
    closed: date | None = None
    instead: str = ""

    @property
    def warning(self) -> str:
        """That it closes soon; empty when it does not."""
        if self.closed is None:
            return ""
        return f"{self.provider} takes new {self.method} jobs only until {self.closed}; afterwards use {self.instead}."


_ELSEWHERE = "Together, Fireworks, Gemini on Vertex AI, or a local model"
_OPENAI_ENDS = date(2027, 1, 6)
_OPENAI = ("gpt-4.1-2025-04-14*", "gpt-4.1-mini-2025-04-14*", "gpt-4.1-nano-2025-04-14*", "gpt-4o-2024-08-06*")
_OPENAI_SMALL = ("gpt-4o-mini-2024-07-18*", "gpt-3.5-turbo*")
_TUNED = ("ft:*",)
_SEEING = ("gpt-4o-2024-08-06*", "gpt-4.1-2025-04-14*", "ft:gpt-4o-2024-08-06*", "ft:gpt-4.1-2025-04-14*")
_VERTEX = ("gemini-2.*", "projects/*")
_NOVA = ("amazon.nova-*", "nova-*", "arn:aws*:bedrock:*")
_OPENAI_DOCS = "platform.openai.com/docs/guides/fine-tuning; platform.openai.com/docs/deprecations"
_VERTEX_DOCS = "cloud.google.com/vertex-ai/generative-ai/docs/models/tune-models"
_NOVA_DOCS = "docs.aws.amazon.com/nova/latest/userguide/customize-fine-tune.html"
_NEVER = date.min

TABLE = (
    Capability("openai", "sft", _OPENAI + _OPENAI_SMALL + _TUNED, _OPENAI_DOCS, _OPENAI_ENDS, _ELSEWHERE),
    Capability("openai", "dpo", (*_OPENAI, *_OPENAI_SMALL[:1], *_TUNED), _OPENAI_DOCS, _OPENAI_ENDS, _ELSEWHERE),
    Capability("openai", "vision", _SEEING, _OPENAI_DOCS, _OPENAI_ENDS, _ELSEWHERE),
    Capability("openai", "tools", _OPENAI + _OPENAI_SMALL + _TUNED, _OPENAI_DOCS, _OPENAI_ENDS, _ELSEWHERE),
    Capability("gemini", "sft", _VERTEX, _VERTEX_DOCS),
    Capability("gemini", "dpo", ("gemini-2.5-flash*", "projects/*"), _VERTEX_DOCS),
    Capability("gemini", "vision", _VERTEX, _VERTEX_DOCS),
    Capability("gemini", "tools", _VERTEX, _VERTEX_DOCS),
    Capability("bedrock", "sft", _NOVA, _NOVA_DOCS),
    Capability("bedrock", "dpo", _NOVA, _NOVA_DOCS, _NEVER, "Together or Fireworks"),
    Capability("bedrock", "vision", _NOVA, _NOVA_DOCS, _NEVER, "images that lie in S3, with Bedrock's own console"),
    Capability("bedrock", "tools", _NOVA, _NOVA_DOCS, _NEVER, "Together, Fireworks or Gemini on Vertex AI"),
    *(
        Capability(provider, method, ("*",), source)
        for provider, source in (
            ("together", "docs.together.ai/docs/fine-tuning"),
            ("fireworks", "docs.fireworks.ai/fine-tuning"),
        )
        for method in ("sft", "dpo", "vision", "tools")
    ),
    *(
        Capability("anthropic", method, ("*",), "docs.claude.com", _NEVER, "Nova on Bedrock, or a prompt with examples")
        for method in ("sft", "dpo", "vision", "tools")
    ),
)
"""One line for each provider and method."""


def check(provider: str, method: str, model: str, when: date) -> Capability:
    """What a provider takes on a day; that it closes soon is logged as a warning.

    :param method: `sft`, `dpo`, `vision` or `tools`.
    :param model: The base model; "" when it is not known yet.
    :raises UnknownNameError: no such provider or method is known.
    :raises ConfigError: it takes no such job then; the hint says what to use.
    """
    if provider not in (providers := {each.provider for each in TABLE}):
        raise unknown_name("fine-tuning provider", provider, providers)
    found = next((each for each in TABLE if (each.provider, each.method) == (provider, method)), None)
    if found is None:
        raise unknown_name("fine-tuning method", method, {each.method for each in TABLE})
    if found.closed is not None and when >= found.closed:
        since = "" if found.closed == _NEVER else f" since {found.closed}"
        raise ConfigError(f"{method} at {provider} is not available{since}.", f"Use {found.instead}.")
    if model and not any(fnmatchcase(model, pattern) for pattern in found.models):
        known = ", ".join(pattern.rstrip("*") for pattern in found.models)
        raise ConfigError(f"{provider} does not train {model!r} with {method}.", f"Use one of: {known}.")
    if found.warning:
        log.warning("%s", found.warning)
    return found
