"""What a model is trained on: messages, and examples made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, get_args

from ...knowledge.errors import InputError
from ...knowledge.files import RactoFile
from ...knowledge.vocabulary import ToolCallResult

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(slots=True)
class RactoTrainingMessage:
    """One turn of a conversation.

    :param role: `system`, `user`, `assistant`, or `tool` for the result of a call.
    :param content: The text; may be empty beside attachments and calls.
    :param attachments: Files of a user's turn.
    :param tool_calls: What the assistant asks to be called in this turn.
    :param tool_call_id: In a turn of the role `tool`: the call this is the result of.
    :raises InputError: such a turn cannot be.
    """

    role: Role
    content: str
    attachments: list[RactoFile] = field(default_factory=list)
    tool_calls: list[ToolCallResult] = field(default_factory=list)
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InputError(f"{self.role!r} is no role of a message.", f"Use one of {', '.join(get_args(Role))}.")
        if not isinstance(self.content, str):
            raise InputError(f"The content of a message is text, not {type(self.content).__name__}.", "Give a string.")
        if self.attachments and self.role != "user":
            raise InputError(f"A turn of the role {self.role} carries no files.", "Attach them to a user's turn.")
        if self.tool_calls and self.role != "assistant":
            raise InputError(f"A turn of the role {self.role} calls no tools.", "Only the assistant does.")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise InputError("The result of a call, and nothing else, names the call.", "Set tool_call_id with `tool`.")

    def to_openai(self) -> dict[str, Any]:
        """The message as OpenAI's chat completions take it; a list of content parts when it has attachments."""
        written: dict[str, Any] = _form("openai").message(self)
        return written

    def to_anthropic(self) -> dict[str, Any]:
        """The message as Anthropic's messages take it."""
        written: dict[str, Any] = _form("anthropic").message(self)
        return written

    def to_gemini_parts(self) -> list[dict[str, Any]]:
        """The parts of Gemini's content that hold the attachments, the text and the calls."""
        written: list[dict[str, Any]] = _form("gemini").parts(self)
        return written


@dataclass(slots=True)
class RactoTrainingExample:
    """One record to train on: a conversation that ends with what the model should say.

    :param messages: In order; an optional system message comes first.
    :param tools: The functions the assistant may call, each with `name`, `description` and `parameters` (a JSON schema).
    :param rejected: For preference tuning: an answer that is worse than the last message.
    """

    messages: list[RactoTrainingMessage]
    tools: list[dict[str, Any]] = field(default_factory=list)
    rejected: RactoTrainingMessage | None = None

    @classmethod
    def from_pair(
        cls, user: str, assistant: str, *, system: str = "", user_attachments: Sequence[RactoFile] | None = None
    ) -> RactoTrainingExample:
        """A question and its answer."""
        asked = RactoTrainingMessage("user", user, list(user_attachments or ()))
        return cls([*_system(system), asked, RactoTrainingMessage("assistant", assistant)])

    @classmethod
    def from_conversation(cls, turns: Iterable[tuple[Role, str]]) -> RactoTrainingExample:
        """A conversation from its `(role, content)` turns."""
        return cls([RactoTrainingMessage(role, content) for role, content in turns])

    @classmethod
    def from_preference(cls, user: str, preferred: str, rejected: str, *, system: str = "") -> RactoTrainingExample:
        """A question with a better and a worse answer."""
        example = cls.from_pair(user, preferred, system=system)
        example.rejected = RactoTrainingMessage("assistant", rejected)
        return example

    @property
    def system(self) -> str:
        """The text of the system messages, parted by a blank line; empty when there is none."""
        return "\n\n".join(each.content for each in self.messages if each.role == "system")

    @property
    def turns(self) -> list[RactoTrainingMessage]:
        """The messages that are not the system's."""
        return [each for each in self.messages if each.role != "system"]

    @property
    def text(self) -> str:
        """All that is said in it, the rejected answer included, one message to a line."""
        said = [*self.messages, self.rejected] if self.rejected else self.messages
        return "\n".join(each.content for each in said)

    def to_openai_dict(self) -> dict[str, Any]:
        """OpenAI's record: `messages`, or `input`, `preferred_output` and `non_preferred_output` of a preference."""
        record: dict[str, Any] = _form("openai").write(self)
        return record

    def to_anthropic_dict(self) -> dict[str, Any]:
        """Anthropic's record, as Claude on Bedrock is tuned with: `messages`, and `system` when there is one."""
        record: dict[str, Any] = _form("anthropic").write(self)
        return record

    def to_gemini_dict(self) -> dict[str, Any]:
        """Vertex AI's record: `contents`, and `systemInstruction` when there is one. The form `gemini_text` is the older one."""
        record: dict[str, Any] = _form("gemini").write(self)
        return record


def _form(name: str) -> Any:
    """A module of `formats`, found by its name: those are made of examples, and not the other way round."""
    return import_module(f".formats.{name}", __package__)


def _system(text: str) -> list[RactoTrainingMessage]:
    return [RactoTrainingMessage("system", text)] if text else []
