"""RACTO prompts under the name the specification gives their package."""

from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt

__all__ = ["RactoFile", "RactoPrompt"]
