"""Talking to models as tools: one of them, several side by side, and their embeddings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ..agents.calls import ToolContext
from ..agents.offers import Toolset
from ..agents.toolbox import Tool
from ..knowledge.errors import InputError, ModelNotAvailableError, RactoError
from ..knowledge.files import RactoFile
from ..knowledge.prompt_store import PromptStore
from ..knowledge.prompts import RactoPrompt, prompt_fields, prompt_from, with_legacy
from .prompts import Aim, Background, Constraints, Role, Tone

if TYPE_CHECKING:
    from ..knowledge.contexts import ContextStore
    from ..knowledge.vocabulary import ChatConfig, LLMResponse, Message
    from .services import Models, Services

PATIENCE = 600.0
"""Seconds a model may take; its first words keep a host's own limit at bay, as progress."""
_TAIL = 200
_MOST_FILE_BYTES = 32 * 2**20

Model = Annotated[str, Field(description="provider/name of models_list; empty: the person's")]
StoredName = Annotated[str, Field(description="a stored prompt, as system prompt")]
Values = Annotated[dict[str, str], Field(description="for its {placeholders}")]
MaxTokens = Annotated[int, Field(ge=1)]


def toolset(services: Services) -> Toolset:
    """The chat tools over the models of `services`."""
    tools = ChatTools(services)
    return Toolset(
        "chat",
        tools=(
            Tool.of(tools.chat, open_world=True, timeout=PATIENCE),
            Tool.of(tools.chat_compare, open_world=True, timeout=PATIENCE),
            Tool.of(tools.embed, open_world=True, timeout=PATIENCE, max_output=1_000_000),
        ),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered, and what it took.

    :param parsed: The JSON value of the answer, when it is one.
    :param cost: US dollars; `None` when the price is not known.
    :param context_id: The conversation it was added to.
    """

    model: str
    text: str
    parsed: Any = None
    finish_reason: str = "stop"
    usage: dict[str, int] = field(default_factory=dict)
    cost: Decimal | None = None
    seconds: float = 0.0
    cached: str | None = None
    context_id: str = ""
    why: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def render(self) -> str:
        """The answer, then what it took."""
        return "\n".join([self.text, "", self.footnote(), *(f"Note: {each}" for each in self.warnings)])

    def footnote(self) -> str:
        """Who answered, and what it took, in one line."""
        tokens = f"{self.usage.get('prompt_tokens', 0):,} + {self.usage.get('completion_tokens', 0):,} tokens"
        parts = [self.model, tokens, dollars(self.cost), f"{self.seconds:.1f} s"]
        parts += [f"from the {self.cached} cache"] if self.cached else []
        parts += [f"ended by {self.finish_reason}"] if self.finish_reason != "stop" else []
        return f"({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Compared:
    """The answers of several models to one question, in the order they were named."""

    answers: list[Answer]
    failures: dict[str, str]

    def render(self) -> str:
        """One after the other, then those that failed."""
        parts = [f"## {each.model}\n{each.render()}" for each in self.answers]
        parts += [f"## {model}\nIt failed: {reason}" for model, reason in self.failures.items()]
        return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of some texts.

    :param similarities: The cosine of each text with each.
    """

    model: str
    dimensions: int
    vectors: list[list[float]]
    similarities: list[list[float]]
    usage: dict[str, int]
    cost: Decimal | None
    warnings: list[str]

    def render(self) -> str:
        """How near the texts are to each other; the vectors are in the structured result."""
        lines = [f"{len(self.vectors)} vectors of {self.dimensions} numbers by {self.model}, {dollars(self.cost)}."]
        if len(self.vectors) > 1:
            rows = [" ".join(f"{value:6.3f}" for value in row) for row in self.similarities]
            lines += ["Cosine of each with each:", *rows]
        lines += [f"Note: {warning}" for warning in self.warnings]
        return "\n".join(lines)


class ChatTools:
    """The tools; each method is one.

    :param services: The models, and where prompts and conversations are kept.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._prompts = PromptStore(services.database)

    @cached_property
    def _contexts(self) -> ContextStore:
        from ..knowledge.contexts import ContextStore  # a server starts without it

        return ContextStore(self._services.database)

    async def chat(
        self,
        message: str,
        call: ToolContext,
        model: Model = "",
        task: Annotated[str, Field(description="kind of work, to choose a model by: code, planning")] = "",
        context_id: Annotated[str, Field(description="conversation to go on with, or begin")] = "",
        prompt: StoredName = "",
        variables: Values = {},  # noqa: B006 - never changed; a plain default keeps the schema flat
        role: Role = "",
        aim: Aim = "",
        constraints: Constraints = [],  # noqa: B006
        tone: Tone = "",
        context: Background = "",
        output_schema: Annotated[dict[str, Any], Field(description="JSON Schema of the answer")] = {},  # noqa: B006
        attachments: Annotated[list[str], Field(description="paths of images, PDFs or texts")] = [],  # noqa: B006
        max_tokens: MaxTokens = 4096,
        temperature: Annotated[float, Field(ge=-1, le=2, description="-1: the model's own")] = -1,
        step_by_step: bool = False,
        component: Annotated[str, Field(description="whose budget")] = "",
    ) -> Answer:
        """Ask another model, local or hosted; hosted ones cost the person money. Says what the answer took."""
        models = await self._services.models()
        from ..knowledge.vocabulary import ChatConfig  # by now it is there

        name = await named(models, model, task, component)
        fields = {"role": role, "aim": aim, "constraints": constraints, "tone": tone, "context": context}
        config = ChatConfig(
            user_message=_some(message),
            prompt=await asyncio.to_thread(self._prompt, prompt, variables, fields),
            temperature=None if temperature < 0 else temperature,
            max_tokens=max_tokens,
            response_model=_shape(output_schema),
            history=await self._history(context_id, call.caller.name),
            attachments=await asyncio.to_thread(self._files, attachments),
            chain_of_thought=step_by_step,
        )
        answer = await ask(models, config, call, name, task=task, component=component)
        return await self._kept(answer, context_id, call.caller.name, config) if context_id else answer[0]

    async def chat_compare(
        self,
        message: str,
        models: Annotated[list[str], Field(min_length=2, max_length=8, description="each provider/name")],
        call: ToolContext,
        prompt: StoredName = "",
        variables: Values = {},  # noqa: B006
        max_tokens: MaxTokens = 2048,
        component: str = "",
    ) -> Compared:
        """Ask several models one question: answers side by side, with cost and time."""
        known = await self._services.models()
        from ..knowledge.vocabulary import ChatConfig

        config = ChatConfig(
            user_message=_some(message),
            prompt=await asyncio.to_thread(self._prompt, prompt, variables, {}),
            max_tokens=max_tokens,
        )
        done = 0

        async def one(model: str) -> Answer | RactoError:
            nonlocal done
            try:
                name = await named(known, model)
                answer, _ = await ask(known, config, ToolContext(call.caller), name, component=component)
            except RactoError as error:
                return error
            finally:
                done += 1
                call.progress(done, len(models), model)
            return answer

        outcomes = await asyncio.gather(*map(one, models))
        answers = [each for each in outcomes if isinstance(each, Answer)]
        failures = {
            model: str(each) for model, each in zip(models, outcomes, strict=True) if isinstance(each, RactoError)
        }
        if not answers:
            raise next(each for each in outcomes if isinstance(each, RactoError))
        return Compared(answers, failures)

    async def embed(
        self,
        texts: Annotated[list[str], Field(min_length=1, max_length=64)],
        call: ToolContext,
        model: Annotated[str, Field(description="provider/name; empty: the person's")] = "",
        dimensions: Annotated[int, Field(ge=0, description="0: the model's own")] = 0,
        component: str = "",
    ) -> Embedded:
        """Turn texts into vectors, and say how near they are to each other."""
        models = await self._services.models()
        from ..knowledge.vocabulary import EmbeddingConfig

        if not model and not models.gateway.routes.embedders:
            raise nothing_set_up("RACTO_EMBEDDING_MODELS=ollama/nomic-embed-text")
        config = EmbeddingConfig(texts=texts, model=model or None, dimensions=dimensions or None)
        response = await models.gateway.embed(config, user=call.caller.name, component=component)
        vectors = [each.embedding for each in response.vectors]
        taken = (response.usage, response.cost, response.warnings)
        return Embedded(f"{response.provider}/{response.model}", len(vectors[0]), vectors, _cosines(vectors), *taken)

    def _prompt(self, name: str, variables: Mapping[str, str], fields: Mapping[str, Any]) -> RactoPrompt | None:
        """The system prompt: the stored one with its variables filled in, fields that were given instead of its own."""
        given = {key: value for key, value in fields.items() if value}
        if name:
            filled = self._prompts.get(name).fill(variables)
            return prompt_from({**prompt_fields(filled), **given})
        if variables:
            raise InputError("Variables belong to a stored prompt, and none is named.", "Give its name as `prompt`.")
        if not given:
            return None
        return prompt_from(
            with_legacy({"instructions": "Answer what the person asks.", "output_format": "text", **given})
        )

    async def _history(self, context_id: str, owner: str) -> list[Message]:
        if not context_id:
            return []
        # Begins it, or refuses a name that cannot be one, before anything is spent.
        await asyncio.to_thread(self._contexts.append, context_id, owner=owner)
        if self._services.turns is not None:
            await self._services.turns.catch_up(self._contexts, context_id, owner)
        return await asyncio.to_thread(self._contexts.window, context_id, owner)

    async def _kept(
        self, answered: tuple[Answer, LLMResponse], context_id: str, owner: str, config: ChatConfig
    ) -> Answer:
        from ..knowledge.vocabulary import Message, MessageRole

        answer, response = answered
        asked = Message(role=MessageRole.USER, content=config.user_message, attachments=config.attachments)
        said = Message(role=MessageRole.ASSISTANT, content=response.content or "", native=response.native)
        await asyncio.to_thread(self._contexts.append, context_id, asked, said, owner=owner)
        if self._services.turns is not None:
            await self._services.turns.add(context_id, owner, asked, said)
        return replace(answer, context_id=context_id)

    def _files(self, paths: Sequence[str]) -> list[RactoFile]:
        files = []
        for path in paths:
            real = self._services.roots.resolve(path)
            if not real.is_file():
                raise InputError(f"{path!r} is not a file.", "Attach single files.")
            if real.stat().st_size > _MOST_FILE_BYTES:
                raise InputError(f"{path!r} is larger than 32 MB.", "No provider takes it; index it with page_ingest.")
            files.append(RactoFile.from_path(real))
        return files


async def ask(
    models: Models, config: ChatConfig, call: ToolContext, model: str | None, *, task: str = "", component: str = ""
) -> tuple[Answer, LLMResponse]:
    """What a model answers to `config`. Its words are told as progress while they come: the number of characters so far, and the last ones.

    :param model: As `named` gives it.
    """
    begun = time.perf_counter()
    response: LLMResponse | None = None
    about: dict[str, Any] = {"user": call.caller.name, "task": task, "component": component, "model": model}
    if config.response_model is not None:
        # An answer in a shape may be repaired: only the whole of it counts.
        response = await models.gateway.chat(config, **about)
    else:
        async with aclosing(models.gateway.stream(config, **about)) as chunks:
            async for chunk in chunks:
                if new := len(chunk.delta.text):
                    call.progress(len(chunk.accumulated_text), None, chunk.accumulated_text[-max(new, _TAIL) :])
                response = chunk.response or response
    assert response is not None  # the last chunk of a stream has it
    return _answer(response, time.perf_counter() - begun), response


async def named(models: Models, model: str, task: str = "", component: str = "") -> str | None:
    """The model a call names, with its provider in front; `None` when it names none, and one is set up or runs here.

    :raises ModelNotAvailableError: it names none, none is set up, and none was found on this machine.
    :raises InputError: nobody is known to have it.
    """
    routes = models.gateway.routes
    if not model:
        if _has_route(models, task, component) or await models.gateway.default() is not None:
            return None
        raise nothing_set_up("RACTO_MODELS=ollama/llama3.2")
    if model == "simulated":
        return "simulated/simulated"
    if model.partition("/")[0] in routes.providers or any(each.model == model for each in routes.chain):
        return model
    about = models.registry.metadata(model)
    if about and about.provider in routes.providers:
        return f"{about.provider}/{model}"
    if not routes.chain:
        known = ", ".join(sorted(routes.providers))
        raise InputError(
            f"Who has the model {model!r} is not known.", f"Write it as provider/name, with one of: {known}."
        )
    return model


def _has_route(models: Models, task: str, component: str) -> bool:
    from ..agents.routes import Wish

    return models.gateway.routes.route(Wish("chat", task=task, component=component)) is not None


def nothing_set_up(example: str) -> ModelNotAvailableError:
    """The error of a call that names no model where none is set up."""
    return ModelNotAvailableError(
        "No model is set up in racto, and this call names none.",
        "If you are a model, answer it yourself: prompts, pages and databases need no other. To set one up, the person "
        f"{'starts Ollama, whose models are found by themselves, or ' if 'RACTO_MODELS' in example else ''}sets {example} (or `{example.partition('=')[0].removeprefix('RACTO_').lower()}` in the config file), and for a hosted one "
        "its key: `racto keys set OPENAI_API_KEY`. models_list shows what there is; model=simulated answers without any model.",
    )


def dollars(cost: Decimal | None) -> str:
    """A cost to read."""
    if cost is None:
        return "price unknown"
    return f"${cost:.6f}".rstrip("0").rstrip(".") if cost else "$0"


def _answer(response: LLMResponse, seconds: float) -> Answer:
    return Answer(
        f"{response.provider}/{response.model}",
        response.content or "",
        response.parsed,
        response.finish_reason.value,
        response.usage,
        response.cost,
        round(seconds, 3),
        response.cached,
        why=response.why,
        warnings=response.warnings,
    )


def _some(message: str) -> str:
    if not message.strip():
        raise InputError("The message is empty.", "Say what the model should answer.")
    return message


def _shape(schema: Mapping[str, Any]) -> Any:
    if not schema:
        return None
    from ..agents.schema_models import model_from

    return model_from(schema)


def _cosines(vectors: Sequence[Sequence[float]]) -> list[list[float]]:
    units = []
    for vector in vectors:
        length = sum(value * value for value in vector) ** 0.5 or 1.0
        units.append([value / length for value in vector])
    return [[round(sum(a * b for a, b in zip(one, other, strict=True)), 4) for other in units] for one in units]
