"""What a chat call may be asked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import ChatConfig, Message, MessageRole


def test_a_message_alone_is_enough_and_the_rest_is_unset() -> None:
    config = ChatConfig(user_message="Hello")
    assert [config.prompt, config.tools, config.response_model, config.temperature] == [None] * 4
    assert (config.max_tokens, config.history, config.extra) == (4096, [], {})


def test_everything_a_call_can_be_asked_is_kept_as_it_was_given() -> None:
    class Verdict(BaseModel):
        fair: bool

    registry = ToolRegistry()
    prompt = RactoPrompt(role="Judge", aim="Decide", constraints=["Be fair"], tone="dry", output_format=Verdict)
    config = ChatConfig(
        user_message="Well?",
        prompt=prompt,
        temperature=2.0,
        max_tokens=1,
        tools=registry,
        response_model=Verdict,
        history=[
            Message(role=MessageRole.USER, content="Hi"),
            Message.model_validate({"role": "assistant", "content": "Yes"}),
        ],
        extra={"top_p": 0.9},
    )
    assert config.tools is registry
    assert config.prompt == prompt
    assert [message.role for message in config.history] == [MessageRole.USER, MessageRole.ASSISTANT]
    assert f"{config.history[1].role}: {config.history[1].content}" == "assistant: Yes"


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_message": ""},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"max_tokens": 0},
        {"history": [{"role": "robot", "content": "beep"}]},
        {"response_model": dict},
    ],
)
def test_what_no_provider_takes_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatConfig(**{"user_message": "Hello", **wrong})


def test_two_configs_do_not_share_their_history() -> None:
    first, second = ChatConfig(user_message="a"), ChatConfig(user_message="b")
    first.history.append(Message(role=MessageRole.USER, content="x"))
    assert second.history == []
