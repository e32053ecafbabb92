"""What tests of the classifier share: a model whose answers are written down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from racto.tools.classify.answers import ClassifierResult
from racto.tools.classify.pipeline import ListClassifierPipeline

from tests.analyst import Scripted

SUPPORT = ["Billing", "Technical Support", "Sales"]

__all__ = ["SUPPORT", "Reply", "Scripted", "classify", "result_of"]

Reply = str | Mapping[str, Any] | Exception


def classify(kit: Any, text: str = "My invoice is wrong", **settings: Any) -> ClassifierResult:
    """One text, classified by a pipeline made for it."""
    settings.setdefault("options", SUPPORT)
    return result_of(ListClassifierPipeline(kit, **settings), text)


def result_of(
    pipeline: ListClassifierPipeline, text: str = "My invoice is wrong", **overrides: Any
) -> ClassifierResult:
    """One text, classified."""
    result = asyncio.run(pipeline.arun(text, **overrides))
    assert isinstance(result, ClassifierResult)
    return result
