"""Gemini's `generateContent`, embeddings and models, as the types of its SDK and its REST reference say them."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.openai import event, texts
from tests.dialects.server import DialectServer, Line, Received

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_REFUSED = {
    "overflow": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "unsupported-parameter": "Invalid JSON payload received. Unknown name \"temperature\" at 'generation_config': Cannot find field.",
}
_FINISHED = {
    "length": "MAX_TOKENS",
    "content-filter": "SAFETY",
    "broken-arguments": "MALFORMED_FUNCTION_CALL",
    "continuation": "CONTINUATION",
    "other": "OTHER",
    "recitation": "RECITATION",
}
_BODY = frozenset(
    {
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "safetySettings",
        "generationConfig",
        "cachedContent",
        "store",
    }
    | {"labels", "serviceTier", "continuationToken"}
)
_CONFIG = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "candidateCount",
        "maxOutputTokens",
        "stopSequences",
        "responseLogprobs",
        "logprobs",
        "seed",
    }
    | {
        "presencePenalty",
        "frequencyPenalty",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "thinkingConfig",
    }
    | {"responseModalities", "mediaResolution", "speechConfig", "imageConfig"}
)
_OURS = {
    "temperature": "temperature",
    "topP": "top_p",
    "seed": "seed",
    "stopSequences": "stop",
    "frequencyPenalty": "frequency_penalty",
}


class Google(DialectServer):
    """`/v1/models/…`."""

    provider = "google"
    takes = frozenset({"temperature", "top_p", "seed", "stop"})
    extra = ("safetySettings", [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}])
    cannot: ClassVar[dict[str, str]] = {
        "an opening event that is missing is not missed": "every event of a stream has the same shape, none opens it",
        "a call cut off by the length is left out and said": "Gemini sends a call whole or not at all",
        "a refusal says so": "Gemini has no field for a refusal: it is words, or a filter",
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"api_key": dialects.KEY, "base_url": base}

    def scenario(self, request: Received) -> str:
        """The model is in the path."""
        return request.path.removeprefix("/v1/models/").partition(":")[0]

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": {code, message, status, details}}`."""
        message = "Wrong key: THE-KEY" if status == 401 else f"Told to fail with {status}."
        details = [] if status != 429 else [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
        return _error(status, message, details), {}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By method, then by scenario."""
        assert request.headers["x-goog-api-key"] == dialects.KEY
        method = request.path.partition(":")[2]
        if request.path == "/v1/models":
            await _models(request, line)
        elif method == "batchEmbedContents":
            await line.json(_embeddings(request))
        elif unknown := _unknown(request.body):
            message = f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'
            await line.json(_error(400, message), status=400)
        elif scenario in _REFUSED:
            await line.json(_error(400, _REFUSED[scenario]), status=400)
        elif scenario == "refuse-with":  # the user's own words
            message = request.body["contents"][-1]["parts"][-1]["text"]
            await line.json(_error(400, message), status=400)
        elif scenario == "elsewhere":
            await line.json({}, status=307, headers={"location": "http://127.0.0.1:1/other-host"})
        elif scenario == "exhausted":
            await line.json(_error(429, "Your prepayment credits are depleted."), status=429)
        elif scenario == "error-in-200":
            await line.json(_error(503, "The model is overloaded."))
        elif method == "streamGenerateContent":
            assert request.query == {"alt": "sse"}
            await _stream(scenario, line)
        else:
            assert method == "generateContent"
            await line.json(_response(scenario, _parts(scenario), last=True))

    # What was sent, for the suite to look at.

    def sent_texts(self, request: Received) -> list[tuple[str, str]]:
        """Role and text of every turn, the system prompt first."""
        turns = [{"role": "system", **request.body["systemInstruction"]}, *request.body["contents"]]
        return [(turn["role"], "".join(part.get("text", "") for part in turn["parts"])) for turn in turns]

    def sent_files(self, request: Received) -> list[tuple[str, bytes]]:
        """Type and bytes of every file that is not text."""
        blobs = [part["inline_data"] for part in request.body["contents"][-1]["parts"] if "inline_data" in part]
        return [(blob["mime_type"], base64.b64decode(blob["data"])) for blob in blobs]

    def sent_tools(self, request: Received) -> list[tuple[str, dict[str, Any]]]:
        """Name and schema of every tool."""
        (tool,) = request.body["tools"]
        return [(made["name"], made["parametersJsonSchema"]) for made in tool["functionDeclarations"]]

    def sent_choice(self, request: Received) -> Any:
        """The mode, in our words; a named tool as its name."""
        config = request.body["toolConfig"]["functionCallingConfig"]
        if allowed := config.get("allowedFunctionNames"):
            assert config["mode"] == "ANY"
            return allowed[0]
        return {"AUTO": "auto", "NONE": "none", "ANY": "required"}[config["mode"]]

    def sent_schema(self, request: Received) -> dict[str, Any] | None:
        """The schema the answer has to follow."""
        config = request.body["generationConfig"]
        assert ("responseJsonSchema" in config) == (config.get("responseMimeType") == "application/json")
        schema: dict[str, Any] | None = config.get("responseJsonSchema")
        return schema

    def sent_calls(self, request: Received) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and arguments of the calls in the turns of the model."""
        calls = [
            part["functionCall"]
            for turn in request.body["contents"]
            for part in turn["parts"]
            if "functionCall" in part
        ]
        return [(call["id"], call["name"], call["args"]) for call in calls]

    def sent_results(self, request: Received) -> list[tuple[str, str]]:
        """Id of the call and text of every result, all of which must be in the one turn after the calls, with the names of the calls."""
        *_, asked, told = request.body["contents"]
        assert (asked["role"], told["role"]) == ("model", "user")
        results = [part["functionResponse"] for part in told["parts"]]
        assert [result["name"] for result in results] == [part["functionCall"]["name"] for part in asked["parts"]]
        return [(result["id"], result["response"]["output"]) for result in results]

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["generationConfig"]["maxOutputTokens"])

    def sent_parameters(self, request: Received) -> dict[str, Any]:
        """Sampling parameters, under our names."""
        config = request.body["generationConfig"]
        return {ours: config[name] for name, ours in _OURS.items() if name in config}


def _unknown(body: dict[str, Any]) -> list[str]:
    return sorted((set(body) - _BODY) | (set(body.get("generationConfig", ())) - _CONFIG))


def _error(status: int, message: str, details: list[Any] | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
    return {"error": told | ({"details": details} if details else {})}


async def _models(request: Received, line: Line) -> None:
    """One a page, so that the pages have to be turned."""
    name = request.query.get("pageToken", dialects.MODELS[0])
    entry = {
        "name": f"models/{name}",
        "displayName": name.title(),
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    following = dialects.MODELS[dialects.MODELS.index(name) + 1 :]
    await line.json({"models": [entry]} | ({"nextPageToken": following[0]} if following else {}))


def _embeddings(request: Received) -> dict[str, Any]:
    asked = request.body["requests"]
    model = request.path.removeprefix("/v1/").partition(":")[0]
    assert len(asked) <= 100
    assert all(one["model"] == model for one in asked)
    given = [part["text"] for one in asked for part in one["content"]["parts"]]
    vectors = [
        {"values": dialects.vector_of(text)[: one.get("outputDimensionality")]}
        for text, one in zip(given, asked, strict=True)
    ]
    if model == "models/short":
        vectors.pop()
    return {"embeddings": vectors, "usageMetadata": {"promptTokenCount": sum(map(len, given))}}


def _parts(scenario: str) -> list[dict[str, Any]]:
    """The parts of the answer, as small as a stream sends them."""
    parts: list[dict[str, Any]] = []
    if scenario in ("reasoning", "signed"):
        half = len(dialects.THINKING) // 2
        parts += [
            {"text": dialects.THINKING[:half], "thought": True},
            {"text": dialects.THINKING[half:], "thought": True},
        ]
    if scenario not in ("signed", "picture", "broken-arguments", "blocked"):
        parts += [{"text": piece} for piece in texts(scenario)]
    if scenario in ("tools", "tools-and-text", "signed", "no-ids"):
        parts += [
            {"functionCall": {"id": f"fc-{n}", "name": name, "args": given}}
            for n, (name, given) in enumerate(dialects.CALLS)
        ]
    if scenario == "no-ids":
        for part in parts[-2:]:
            del part["functionCall"]["id"]
    if scenario == "signed":
        parts[-2]["thoughtSignature"] = "c2lnbmVk"
    if scenario == "picture":
        parts.append({"inlineData": {"mimeType": "image/png", "data": base64.b64encode(dialects.PNG).decode()}})
    return parts


def _usage(scenario: str) -> dict[str, Any]:
    if scenario == "usage":
        counts = {
            "promptTokenCount": 100,
            "candidatesTokenCount": 30,
            "thoughtsTokenCount": 20,
            "cachedContentTokenCount": 40,
        }
        return counts | {"totalTokenCount": 150, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}]}
    if scenario == "searched":
        return {"promptTokenCount": 11, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 23}
    return {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}


def _response(scenario: str, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    """A `GenerateContentResponse`: the whole answer, or an event of its stream."""
    made: dict[str, Any] = {
        "modelVersion": f"{scenario}-001",
        "responseId": "resp-1",
        "usageMetadata": _usage(scenario),
    }
    if scenario == "blocked":
        return made | {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 11},
        }
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if not parts and scenario != "empty":
        candidate["content"] = {}
    if last:
        candidate["finishReason"] = _FINISHED.get(scenario, "STOP")
        if scenario == "broken-arguments":
            candidate["finishMessage"] = 'Malformed function call: get_weather(city="Par'
    if scenario == "unknown-fields":
        made |= {"horoscope": {"sign": "leo"}}
        candidate |= {"mood": 3}
        made["usageMetadata"] |= {"moodTokenCount": 3}
    return made | {"candidates": [candidate]}


async def _stream(scenario: str, line: Line) -> None:
    await line.start()
    parts = _parts(scenario)
    if scenario == "odd-usage":
        await line.send(event({"usageMetadata": {"promptTokenCount": 11}}))
    for place, part in enumerate(parts):
        made = _response(scenario, [part], last=False)
        if scenario == "odd-usage":
            made["usageMetadata"] = {"promptTokenCount": 11, "totalTokenCount": 11}
        piece = event(made).replace(b"\n", b"\r\n")
        middle = len(piece) // 2  # an event, and a character, may be cut anywhere
        await line.send(piece[:middle])
        await line.send(piece[middle:])
        if place == 0 and await _broken_off(scenario, line):
            return
    closing = _response(scenario, [], last=True)
    if scenario == "odd-usage":
        del closing["usageMetadata"]
    await line.send(event(closing))
    if scenario == "odd-usage":
        await line.send(event({"usageMetadata": _usage(scenario)}))
    await line.end()


async def _broken_off(scenario: str, line: Line) -> bool:
    """What is wrong after the first piece; whether something was."""
    if scenario == "mid-stream-error":
        await line.send(event(_error(503, "The model is overloaded.")))
        await line.end()
    elif scenario == "bare-error":
        told = json.dumps([_error(503, "The model is overloaded.")], indent=2).encode()
        await line.send(told[:20])
        await line.send(told[20:])
        await line.end()
    elif scenario == "cut-stream":
        await line.cut()
    elif scenario == "unfinished-stream":
        await line.end()
    elif scenario == "stalled-stream":
        await line.send(b'data: {"cand')
        await line.stall()
    elif scenario == "malformed-event":
        await line.send(b'data: {"candidates": [{\n\n')
        await line.end()
    else:
        return False
    return True
