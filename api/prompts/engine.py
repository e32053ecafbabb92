"""RACTO prompts under the name the specification gives their module."""

from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt

__all__ = ["RactoFile", "RactoPrompt"]
