"""Batches under the name the specification gives their module."""

from racto.agents.batch import AnthropicBatchProcessor, OpenAIBatchProcessor
from racto.knowledge.vocabulary import BatchItem, BatchJobInfo, BatchResult, BatchStatus

__all__ = [
    "AnthropicBatchProcessor",
    "BatchItem",
    "BatchJobInfo",
    "BatchResult",
    "BatchStatus",
    "OpenAIBatchProcessor",
]
