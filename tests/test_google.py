"""What only Gemini's dialect has, over the wire; what every dialect has is in `test_providers.py`."""

from __future__ import annotations

import asyncio
import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.providers.google_contents import body
from racto.knowledge.errors import (
    ContextLengthError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    UnsupportedParameterError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import (
    EmbeddingConfig,
    FinishReason,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
)

from tests import dialects
from tests.dialects.google import Google
from tests.exchanges import WAYS, Check, examined, request, turn_of
from tests.provider_contract import Examined
from tests.provider_scenarios import TOOLS


def body_of(**fields: Any) -> Any:
    """The body of a request."""
    return body(request(fields.pop("model", "gemini-3-pro"), **fields))


def examine(check: Check, way: str = "chat") -> None:
    """Run a check with a provider and its server."""
    asyncio.run(examined(Google(), check, way))


# Parameters


@pytest.mark.parametrize(
    ("words", "given", "parameter"),
    [
        ('Invalid JSON payload received. Unknown name "topK" at generation_config', {"top_k": 3}, "top_k"),
        ("Penalty is not enabled for models/gemini-x", {"frequency_penalty": 0.5}, "frequency_penalty"),
        ("Penalty is not enabled for models/gemini-x", {"presence_penalty": 0.5}, "presence_penalty"),
        ("Thinking level is not supported for this model.", {}, "reasoning"),
        ("Budget 0 is invalid. This model only works in thinking mode.", {}, "reasoning"),
        ("JSON mode is not enabled for models/gemma", {}, "response_schema"),
    ],
)
def test_a_refused_parameter_is_named_as_a_caller_knows_it(words: str, given: dict[str, Any], parameter: str) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(UnsupportedParameterError) as caught:
            await x.ask("refuse-with", messages=[Message(role=MessageRole.USER, content=words)], parameters=given)
        assert caught.value.parameter == parameter

    examine(check)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("API key not valid. Please pass a valid API key.", RactoGatewayAuthError),
        ("The input token count (9) exceeds the maximum number of tokens allowed (8).", ContextLengthError),
        ("Please ensure that function response turn comes immediately after a function call.", RactoGatewayAPIError),
    ],
)
def test_a_refusal_with_status_400_is_told_for_what_it_is(words: str, kind: type[RactoGatewayAPIError]) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(RactoGatewayAPIError) as caught:
            await x.ask("refuse-with", messages=[Message(role=MessageRole.USER, content=words)])
        assert type(caught.value) is kind
        assert not caught.value.transient

    examine(check)


def test_reasoning_is_a_level_for_newer_models_and_tokens_for_older_ones() -> None:
    def asked(model: str, **fields: Any) -> Any:
        return body_of(model=model, reasoning=ReasoningConfig(**fields))["generationConfig"]["thinkingConfig"]

    assert asked("gemini-3-pro", effort="low") == {"includeThoughts": True, "thinkingLevel": "LOW"}
    assert asked("gemini-3-pro", effort="none", include=False) == {"includeThoughts": False, "thinkingLevel": "MINIMAL"}
    assert asked("gemini-2.5-flash", effort="none") == {"includeThoughts": True, "thinkingBudget": 0}
    assert asked("models/gemini-2.5-pro", effort="high") == {"includeThoughts": True, "thinkingBudget": 24_576}
    assert asked("gemini-3-pro", budget_tokens=99, effort="low") == {"includeThoughts": True, "thinkingBudget": 99}
    assert asked("gemini-3-pro") == {"includeThoughts": True}
    assert "thinkingConfig" not in body_of()["generationConfig"]


def test_older_models_get_the_schema_in_words_beside_tools() -> None:
    old = body_of(model="gemini-2.0-flash", tools=TOOLS, response_schema=dialects.SCHEMA)
    assert "responseJsonSchema" not in old["generationConfig"]
    assert "JSON Schema" in old["systemInstruction"]["parts"][0]["text"]
    for fields in ({"model": "gemini-2.0-flash"}, {"model": "gemini-3-pro", "tools": TOOLS}):
        made = body_of(response_schema=dialects.SCHEMA, **fields)
        assert made["generationConfig"]["responseJsonSchema"] == dialects.SCHEMA
        assert made["generationConfig"]["responseMimeType"] == "application/json"


def test_parallel_calls_cannot_be_switched_off_and_that_is_said() -> None:
    assert body_of(tools=TOOLS, parallel_tool_calls=True)["tools"]
    with pytest.raises(UnsupportedParameterError) as caught:
        body_of(tools=TOOLS, parallel_tool_calls=False)
    assert caught.value.parameter == "parallel_tool_calls"


def test_what_is_extra_joins_what_is_ours() -> None:
    made = body_of(
        tools=TOOLS,
        tool_choice="auto",
        extra={
            "generationConfig": {"candidateCount": 1, "maxOutputTokens": 1},
            "tools": [{"googleSearch": {}}],
            "toolConfig": {"retrievalConfig": {"languageCode": "fr"}},
        },
    )
    assert made["generationConfig"] == {"candidateCount": 1, "maxOutputTokens": 4096}
    assert [next(iter(tool)) for tool in made["tools"]] == ["googleSearch", "functionDeclarations"]
    assert made["toolConfig"] == {
        "retrievalConfig": {"languageCode": "fr"},
        "functionCallingConfig": {"mode": "AUTO"},
    }


# Turns


@WAYS
def test_a_signed_call_goes_back_with_its_signature(way: str) -> None:
    async def check(x: Examined) -> None:
        first = await x.ask("signed", tools=TOOLS)
        assert first.thinking == dialects.THINKING
        assert [(call.name, call.arguments) for call in first.tool_calls] == dialects.CALLS
        results = [Message(role=MessageRole.TOOL, content="fine", tool_call_id=call.id) for call in first.tool_calls]
        asked = Message(role=MessageRole.USER, content="Weather?")
        await x.ask("plain", messages=[asked, turn_of(first), *results], tools=TOOLS)
        model, results_sent = x.sent.body["contents"][1:]
        assert model == {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"id": "fc-0", "name": "get_weather", "args": dialects.CALLS[0][1]},
                    "thoughtSignature": "c2lnbmVk",
                },
                {"functionCall": {"id": "fc-1", "name": "get_time", "args": {}}},
            ],
        }
        assert results_sent == {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": f"fc-{n}", "name": name, "response": {"output": "fine"}}}
                for n, (name, _) in enumerate(dialects.CALLS)
            ],
        }

    examine(check, way)


def test_a_call_another_model_made_says_so_to_models_that_want_a_signature() -> None:
    calls = [ToolCallResult("toolu_1", "get_time"), ToolCallResult("toolu_2", "get_time")]
    turns = [Message(role=MessageRole.ASSISTANT, content="", tool_calls=calls)]
    new = body_of(messages=turns)["contents"][0]["parts"]
    assert base64.b64decode(new[0]["thoughtSignature"]) == b"skip_thought_signature_validator"
    assert "thoughtSignature" not in new[1]
    old = body_of(model="gemini-2.5-flash", messages=turns)["contents"][0]["parts"]
    assert not any("thoughtSignature" in part for part in old)


@WAYS
def test_an_id_made_up_here_is_not_sent_to_google(way: str) -> None:
    async def check(x: Examined) -> None:
        first = await x.ask("no-ids", tools=TOOLS)
        ids = [call.id for call in first.tool_calls]
        assert len(set(ids)) == 2
        results = [Message(role=MessageRole.TOOL, content=call.name, tool_call_id=call.id) for call in first.tool_calls]
        await x.ask("plain", messages=[turn_of(first), *results])
        calls, answers = x.sent.body["contents"]
        assert all("id" not in part["functionCall"] for part in calls["parts"] if "functionCall" in part)
        assert [part["functionResponse"] for part in answers["parts"]] == [
            {"name": name, "response": {"output": name}} for name in ("get_weather", "get_time")
        ]

    examine(check, way)


@WAYS
def test_a_blocked_prompt_is_a_filtered_answer_with_the_reason(way: str) -> None:
    async def check(x: Examined) -> None:
        response = await x.ask("blocked")
        assert response.finish_reason is FinishReason.CONTENT_FILTER
        assert response.content is None
        assert response.warnings == ["Google blocked the prompt: PROHIBITED_CONTENT."]
        assert response.usage["prompt_tokens"] == 11

    examine(check, way)


@WAYS
@pytest.mark.parametrize(
    ("scenario", "reason", "word"),
    [
        ("recitation", FinishReason.CONTENT_FILTER, "RECITATION"),
        ("other", FinishReason.ERROR, "OTHER"),
        ("continuation", FinishReason.LENGTH, "continuationToken"),
    ],
)
def test_every_other_end_is_told_with_its_reason(scenario: str, reason: FinishReason, word: str, way: str) -> None:
    async def check(x: Examined) -> None:
        response = await x.ask(scenario)
        assert response.finish_reason is reason
        (warning,) = response.warnings
        assert word in warning

    examine(check, way)


@WAYS
def test_a_call_google_could_not_make_is_worth_another_try_and_says_why(way: str) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(MalformedResponseError, match="MALFORMED_FUNCTION_CALL") as caught:
            await x.ask("broken-arguments", tools=TOOLS)
        assert caught.value.transient

    examine(check, way)


@WAYS
def test_a_part_that_is_neither_text_nor_call_is_not_passed_over_in_silence(way: str) -> None:
    async def check(x: Examined) -> None:
        response = await x.ask("picture")
        assert any("inlineData" in warning for warning in response.warnings)
        (part,) = response.native["google"]
        assert base64.b64decode(part["inlineData"]["data"]) == dialects.PNG

    examine(check, way)


@WAYS
def test_what_googles_own_tools_read_is_part_of_the_prompt(way: str) -> None:
    async def check(x: Examined) -> None:
        usage = (await x.ask("searched")).usage
        assert usage == {"prompt_tokens": 16, "completion_tokens": 7, "total_tokens": 23}

    examine(check, way)


def test_an_error_that_is_no_event_at_the_end_of_a_stream_is_found() -> None:
    async def check(x: Examined) -> None:
        stream = x.provider.stream(x.request("bare-error"))
        assert (await anext(stream)).delta.text == dialects.PIECES[0]
        with pytest.raises(OverloadedError, match="overloaded"):
            await anext(stream)

    examine(check, "stream")


def test_system_messages_are_part_of_the_system_prompt() -> None:
    said = [(MessageRole.USER, "Hello"), (MessageRole.SYSTEM, "Speak Dutch."), (MessageRole.USER, "And now?")]
    made = body_of(system="Be brief.", messages=[Message(role=role, content=text) for role, text in said])
    assert made["systemInstruction"] == {"parts": [{"text": "Be brief.\n\nSpeak Dutch."}]}
    assert [turn["role"] for turn in made["contents"]] == ["user", "user"]


_CALLS = st.lists(
    st.builds(ToolCallResult, st.sampled_from(["t1", "call_1"]), st.sampled_from(["get_time", "get_weather"])),
    max_size=2,
    unique_by=lambda call: call.id,
)
_MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(list(MessageRole)),
        content=st.sampled_from(["", "words"]),
        tool_calls=_CALLS,
        tool_call_id=st.sampled_from(["t1", "call_1"]),
        attachments=st.sampled_from([[], [RactoFile(b"", "text/plain")], [RactoFile(b"x", "text/plain")]]),
    ),
    max_size=6,
)


@given(messages=_MESSAGES, model=st.sampled_from(["gemini-3-pro", "gemini-2.5-flash"]))
@settings(max_examples=200, deadline=None)
def test_every_turn_has_parts_and_every_result_the_name_of_its_call(messages: list[Message], model: str) -> None:
    contents = body_of(model=model, messages=messages)["contents"]
    assert all(turn["parts"] and turn["role"] in ("user", "model") for turn in contents)
    assert all(part.get("text") != "" for turn in contents for part in turn["parts"])
    first = ["functionResponse" in turn["parts"][0] for turn in contents]
    assert (True, True) not in pairwise(first), "results stand together"
    names: dict[str, str] = {}
    expected = []
    for message in messages:
        if message.role is not MessageRole.SYSTEM:
            names |= {call.id: call.name for call in message.tool_calls}
        if message.role is MessageRole.TOOL:
            expected.append(names.get(message.tool_call_id or "", message.tool_call_id))
    sent = [
        part["functionResponse"]["name"] for turn in contents for part in turn["parts"] if "functionResponse" in part
    ]
    assert sent == expected


# Embeddings


def test_vectors_are_as_long_as_asked_and_extra_goes_with_every_text() -> None:
    async def check(x: Examined) -> None:
        config = EmbeddingConfig(texts=["one", "two"], dimensions=2, extra={"taskType": "RETRIEVAL_QUERY"})
        response = await x.provider.embed(config, "plain")
        assert [len(vector.vector) for vector in response.vectors] == [2, 2]
        assert response.usage["prompt_tokens"] == 6
        assert [one["taskType"] for one in x.sent.body["requests"]] == ["RETRIEVAL_QUERY"] * 2

    examine(check)


def test_fewer_vectors_than_texts_are_a_malformed_answer() -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(MalformedResponseError):
            await x.provider.embed(EmbeddingConfig(texts=["one", "two"]), "short")

    examine(check)


# Around a call


@WAYS
@pytest.mark.parametrize("name", ["", "../files", "m?key=1", "m:generateContent/x", "tunedModels/../m", "a b"])
def test_a_name_no_model_can_have_is_never_put_into_an_address(name: str, way: str) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(ModelNotAvailableError):
            await x.ask(name)
        with pytest.raises(ModelNotAvailableError):
            await x.provider.embed(EmbeddingConfig(texts=["a"]), name)
        assert x.dialect.received == []

    examine(check, way)


@WAYS
def test_a_redirect_is_not_followed_with_the_key(way: str) -> None:
    async def check(x: Examined) -> None:
        assert not (await x.failure(RactoGatewayAPIError, "elsewhere")).transient

    examine(check, way)


def test_a_tuned_model_keeps_its_path() -> None:
    async def check(x: Examined) -> None:
        await x.ask("tunedModels/mine")
        assert x.sent.path == "/v1/tunedModels/mine:generateContent"

    examine(check)


def test_the_models_come_with_their_limits() -> None:
    async def check(x: Examined) -> None:
        first, *_ = await x.provider.models()
        assert (first["inputTokenLimit"], first["outputTokenLimit"]) == (1_048_576, 65_536)
        assert json.dumps(first)
        assert len(x.dialect.received) == len(dialects.MODELS), "one a page"

    examine(check)
