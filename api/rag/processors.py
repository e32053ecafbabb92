"""Processors under the name the specification gives their module."""

from racto.knowledge.lemmatizing import Lemmatizer
from racto.knowledge.processing import BaseProcessor, ProcessingPipeline, TextCleaner

__all__ = ["BaseProcessor", "Lemmatizer", "ProcessingPipeline", "TextCleaner"]
