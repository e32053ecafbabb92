"""What every provider's server is asked to say, and so what every adapter must have understood, whatever the dialect.

The scenario is the name of the model. Of a dialect server the suite asks, by scenario:

- `plain`: `TEXT`, `PLAIN_USAGE`, ended as usual; streamed in the pieces `PIECES`.
- `unknown-fields`: `plain`, with fields (and in a stream, events) nobody knows everywhere a newer server may add some.
- `missing-start`: `plain`, but a stream lacks the event that opens it.
- `odd-usage`: `plain`, but a stream tells usage elsewhere than usual: early, in several events, in one of its own.
- `usage`: `TEXT` with `FULL_USAGE`: cached and reasoning tokens, counted the provider's way.
- `tools`: `CALLS`, without text; arguments in fragments where the dialect has such; `tools-and-text`: `TEXT` before them.
- `schema`: `ANSWER` as JSON; `fenced`: in a fence; `prose`: within words; `code`: `CODE`, a text with a fence inside.
- `reasoning`: `THINKING`, then `TEXT`. `refusal`, `content-filter`, `length`, `empty`: an answer that ends so.
- `cut-arguments`: a call cut off by the length limit. `broken-arguments`: a call whose arguments are not JSON, though it ended well.
- `mid-stream-error`: the first piece, then the provider's "overloaded" in the stream; `error-in-200`: the same instead of an answer.
- `cut-stream`: the first piece, then a broken line; `unfinished-stream`: then a proper end of the body, without an end of the answer.
- `stalled-stream`: the first piece, then silence. `malformed-event`: the first piece, then an event that is not JSON.
- `overflow`, `unsupported-parameter`, `exhausted`: the refusal in the dialect's own words.
- embeddings: `vector_of` each text, in an order of its own choosing; models: `MODELS`.

`DialectServer` itself does `status-NNN`, `slow-first-byte`, `cut-before`, `malformed-json`, `not-an-object`, `html`, `gateway-502`.
"""

from __future__ import annotations

from typing import Any

KEY = "racto-canary-key-0123456789"

TEXT = "Grüße: 你好 🌍.\nA second line."
PIECES = ["Grüße: ", "你好 🌍", ".\n", "A second line."]
THINKING = "First this, then that."
REFUSAL = "I cannot help with that."
CODE = "Run this:\n```python\nprint({1: [2]})\n```\nand look."
ANSWER: dict[str, Any] = {"city": "Paris", "people": 2_100_000}
CALLS: list[tuple[str, dict[str, Any]]] = [("get_weather", {"city": "Paris", "days": [1, 2]}), ("get_time", {})]
PLAIN_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
FULL_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "cached_tokens": 40,
    "reasoning_tokens": 20,
}
MODELS = ["model-a", "model-b"]
RETRY_AFTER = 7.0

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
}
PNG = b"\x89PNG\r\n\x1a\n not really, but bytes"
PDF = b"%PDF-1.7 not really, but bytes"
NOTE = "A note: äöü."


def vector_of(text: str) -> list[float]:
    """The vector these servers give a text: its length, and how often it has an `a`."""
    return [float(len(text)), float(text.count("a")), 0.5]
