"""The pipelines under the name the specification gives their module."""

from racto.knowledge.errors import RateLimitExceededError, ReadOnlyViolationError
from racto.tools.classify.answers import (
    AuditEntry,
    ClassifierRateLimitExceededError,
    ClassifierResult,
    ClassifierUsage,
)
from racto.tools.classify.pipeline import AsyncListClassifierPipeline, ListClassifierPipeline
from racto.tools.sql.answers import PipelineUsage, SQLAnalystResult
from racto.tools.sql.charts.spec import ChartSpec
from racto.tools.sql.pipeline import AsyncSQLAnalystPipeline, SQLAnalystPipeline

__all__ = [
    "AsyncListClassifierPipeline",
    "AsyncSQLAnalystPipeline",
    "AuditEntry",
    "ChartSpec",
    "ClassifierRateLimitExceededError",
    "ClassifierResult",
    "ClassifierUsage",
    "ListClassifierPipeline",
    "PipelineUsage",
    "RateLimitExceededError",
    "ReadOnlyViolationError",
    "SQLAnalystPipeline",
    "SQLAnalystResult",
]
