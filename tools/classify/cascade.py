"""The local model first, the other where it is not sure: what that saved, whether the two agree, and whether the texts have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .history import History
from .local_model import LocalClassifier, Prediction

DRIFT = 0.1
"""How far the share of sure texts, or of agreement, may fall below what was measured in training."""
ENOUGH = 50
"""Texts from which on a share says something."""


class Sampled:
    """A local model that leaves every so-many-th text to the other model, so that the two can be compared.

    :param every: One text of how many; chosen by the text itself, so that the same text always goes the same way.
    """

    def __init__(self, local: LocalClassifier, every: int = 20) -> None:
        self._local = local
        self._every = every

    def predict(self, text: str, options: Sequence[str]) -> Prediction:
        """As the local model; the texts of the sample have no label."""
        found = self._local.predict(text, options)
        mark = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], "big")
        return found if mark % self._every else Prediction(None, found.probability, found.scores)


@dataclass(frozen=True, slots=True)
class CascadeReport:
    """What the local model did.

    :param answered: Calls that were answered at all and not from a cache; `local` of them by the local model, and `share` is their share.
    :param compared: Texts the other model answered, of which the local model is sure; `agreement` is the share on which both say the same.
    :param tokens_saved: What the local answers would have taken, at the mean of the model's; `dollars_saved` at its mean price, when that is known.
    :param warnings: What has changed since the training.
    """

    answered: int
    local: int
    share: float
    compared: int
    agreement: float | None
    tokens_saved: int
    dollars_saved: float | None
    warnings: list[str]


def cascade_report(
    history: History, options: Sequence[str], local: LocalClassifier, *, dollars_per_call: float | None = None
) -> CascadeReport:
    """What the audit log says of a local model that stands before another.

    :param dollars_per_call: What a call to the other model costs on average, from the ledger; `None` when it is not known.
    """
    entries = [entry for _, entry in history.entries(options) if not entry.error and not entry.cache_hit]
    asked = [entry for entry in entries if entry.answered_by == "model"]
    own = sum(entry.answered_by == "local" for entry in entries)
    answered = own + len(asked)
    both = [(local.predict(entry.user_query, options).label, entry.selected[:1]) for entry in asked]
    compared = [[label] == selected for label, selected in both if label is not None]
    agreement = sum(compared) / len(compared) if compared else None
    tokens = sum(entry.usage.get("total_tokens", 0) for entry in asked)
    sure = (own + len(compared)) / answered if answered else 0.0
    warnings = []
    if answered >= ENOUGH and sure < local.measured.coverage - DRIFT:
        warnings.append(
            f"Sure of {sure:.0%} of the texts, of {local.measured.coverage:.0%} in training: they have changed. Train again."
        )
    if agreement is not None and len(compared) >= ENOUGH and agreement < local.measured.precision - DRIFT:
        warnings.append(
            f"Agrees with the model on {agreement:.0%} of the texts it is sure of. Correct some of them and train again."
        )
    return CascadeReport(
        answered=answered,
        local=own,
        share=own / answered if answered else 0.0,
        compared=len(compared),
        agreement=agreement,
        tokens_saved=round(own * tokens / len(asked)) if asked else 0,
        dollars_saved=None if dollars_per_call is None else own * dollars_per_call,
        warnings=warnings,
    )
