"""What a classification comes to: the labels, how sure they are and in what sense, what it took, and the record of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...knowledge.errors import RateLimitExceededError

ConfidenceKind = Literal["log-probabilities", "agreement", "model-stated", "local"]
"""What a confidence is: the probability of the tokens of the answer, the share of several answers that said so, what the model says of
itself, or the calibrated probability of a local model."""


class ClassifierRateLimitExceededError(RateLimitExceededError):
    """Somebody has used up their share of the classifier for now."""


class ClassifierUsage(BaseModel):
    """Tokens of one classification, those of retries included; all zero when no model was asked.

    :param retry_count: How often the model was asked again.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    retry_count: int = 0

    @property
    def total_tokens(self) -> int:
        """Read and written."""
        return self.input_tokens + self.output_tokens


class AuditEntry(BaseModel):
    """The record of one call, be it answered by a model, from a cache, locally, or not at all.

    :param timestamp: When the call came, ISO 8601 in UTC.
    :param options_provided: Every label that could be chosen, the uncertain label included.
    :param selected: Labels of that list; empty after an error, or when nothing fits.
    :param confidences: One for each selected label, 0 to 1.
    :param all_scores: Label → score, when every label was scored.
    :param fuzzy_corrected: A misspelt answer was taken for the label it can only mean.
    :param uncertain: No label fits, or the answer could not be read as one.
    :param latency_ms: Of the whole call.
    :param usage: `input_tokens`, `output_tokens`, `total_tokens`, `retry_count`.
    :param confidence_kind: What the confidences are.
    :param answered_by: Who chose the labels, for a cached answer too.
    """

    model_config = ConfigDict(frozen=True)

    timestamp: str
    user_query: str
    options_provided: list[str]
    selected: list[str] = Field(default_factory=list)
    confidences: list[float] | None = None
    all_scores: dict[str, float] | None = None
    reasoning: str | None = None
    fuzzy_corrected: bool = False
    uncertain: bool = False
    cache_hit: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    latency_ms: float = 0.0
    usage: dict[str, int] = Field(default_factory=dict)
    error: str | None = None
    confidence_kind: ConfidenceKind | None = None
    answered_by: Literal["model", "local"] | None = None


class ClassifierResult(BaseModel):
    """The labels of a text.

    :param user_query: The text.
    :param options_provided: Every label that could be chosen, the uncertain label included.
    :param selected: Labels of that list, the surest first. Empty after an error, and when nothing fits and there is no uncertain label.
    :param confidences: One for each selected label, 0 to 1; `None` when none were asked for, or the answer had none.
    :param all_scores: Label → score, when every label was scored.
    :param fuzzy_corrected: A misspelt answer was taken for the label it can only mean.
    :param uncertain: No label fits, or the answer could not be read as one.
    :param cache_hit: `exact` or `semantic` when the answer was kept from an earlier call.
    :param error: In safe mode, what went wrong; nothing is selected then.
    :param confidence_kind: What the confidences are.
    :param answered_by: Who chose the labels, for a cached answer too.
    :param shortlist: The labels the model was shown, when the list was too long to show all of it.
    """

    user_query: str
    options_provided: list[str]
    selected: list[str] = Field(default_factory=list)
    confidences: list[float] | None = None
    all_scores: dict[str, float] | None = None
    reasoning: str | None = None
    fuzzy_corrected: bool = False
    uncertain: bool = False
    cache_hit: str | None = None
    usage: ClassifierUsage = Field(default_factory=ClassifierUsage)
    error: str | None = None
    confidence_kind: ConfidenceKind | None = None
    answered_by: Literal["model", "local"] | None = None
    shortlist: list[str] | None = None

    @property
    def first(self) -> str | None:
        """The surest label."""
        return self.selected[0] if self.selected else None

    @property
    def top_confidence(self) -> float | None:
        """How sure the first label is."""
        return self.confidences[0] if self.confidences else None

    @property
    def is_empty(self) -> bool:
        """Whether no label was selected."""
        return not self.selected

    def as_string(self, separator: str = ", ") -> str:
        """The selected labels, joined."""
        return separator.join(self.selected)

    def as_dict(self) -> dict[str, Any]:
        """`selected`, and `confidences`, `all_scores` and `reasoning` where there are any."""
        more = {name: getattr(self, name) for name in ("confidences", "all_scores", "reasoning")}
        return {"selected": self.selected, **{name: value for name, value in more.items() if value is not None}}

    def as_enum(self, name: str = "SelectedOptions") -> type[Enum]:
        """The selected labels as an enum, each label both name and value of its member: see `enum_of`."""
        return enum_of(self.selected, name)

    def top_n(self, n: int) -> list[str]:
        """The `n` surest labels, or as many as there are."""
        return self.selected[: max(n, 0)]

    def score_for(self, option: str) -> float | None:
        """The score of a label: among all scores, or else among the selected ones."""
        if self.all_scores is not None and option in self.all_scores:
            return self.all_scores[option]
        return dict(zip(self.selected, self.confidences or (), strict=False)).get(option)

    def to_audit_entry(
        self, *, timestamp: str, user_id: str | None = None, session_id: str | None = None, latency_ms: float = 0.0
    ) -> AuditEntry:
        """The record of this result.

        :param timestamp: ISO 8601 in UTC.
        """
        usage = {**self.usage.model_dump(), "total_tokens": self.usage.total_tokens}
        return AuditEntry(
            **self.model_dump(exclude={"usage", "shortlist"}),
            usage=usage,
            timestamp=timestamp,
            user_id=user_id,
            session_id=session_id,
            latency_ms=latency_ms,
        )


def enum_of(labels: Iterable[str], name: str) -> type[Enum]:
    """An enum whose members have the labels as values, and as names too wherever Python lets them: `_x_`, `__x__` and `mro` get a blank in front."""
    members = {label: f" {label}" if label == "mro" or label.startswith("_") else label for label in labels}
    return Enum(name, [(member, label) for label, member in members.items()])  # type: ignore[return-value] # a class made by a call
