"""Every name under which telemetry tells something.

They follow the OpenTelemetry semantic conventions for generative AI (`gen_ai.*`); what those do not name is `racto.*`.
"""

from __future__ import annotations

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
}
OUTPUT_TYPE = "gen_ai.output.type"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
USAGE = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
ERROR_TYPE = "error.type"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - the kind of a language model's token
CACHE = "racto.cache"
COST = "racto.cost"

OPERATION_DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK_DURATION = "gen_ai.client.operation.time_to_first_chunk"
TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - likewise
RETRIES = "racto.retries"
CACHE_HITS = "racto.cache.hits"
CACHE_MISSES = "racto.cache.misses"
DISCOVERIES = "racto.parameter.discoveries"
PARAMETER = "racto.parameter"

PROMETHEUS_REQUESTS = "racto_requests_total"
PROMETHEUS_DURATION = "racto_request_duration_seconds"
PROMETHEUS_RETRIES = "racto_retries_total"
PROMETHEUS_TOKENS = "racto_tokens_total"
PROMETHEUS_COST = "racto_cost_dollars_total"
PROMETHEUS_CACHE_HITS = "racto_cache_hits_total"
PROMETHEUS_CACHE_MISSES = "racto_cache_misses_total"
PROMETHEUS_DISCOVERIES = "racto_parameter_discoveries_total"

SECONDS_BUCKETS = tuple(0.01 * 2**power for power in range(14))
TOKENS_BUCKETS = tuple(4**power for power in range(14))
"""Bounds of the histograms, as the conventions advise."""
