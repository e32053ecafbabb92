"""`racto chat`: a conversation with a model at the terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from ...agents.calls import ToolContext
from ...knowledge.errors import InputError, RactoError, unknown_name
from ...knowledge.roots import Roots
from ...tools.chat import Answer, ChatTools, dollars, nothing_set_up
from ...tools.services import Services
from ..app import services
from ..console import err, out, refuse, styled
from . import flags

EXAMPLES = """\
  racto chat                                    a conversation; /help says what else it knows
  racto chat --model ollama/llama3.2
  racto chat --context tax                      go on with the conversation of that name
  racto chat --attach photo.jpg "What is this?"
  racto chat "Which is older, Rome or Athens?"   one question"""

HELP = """\
/model NAME   ask this model from now on (provider/name); without a name, say which
/new [NAME]   begin another conversation, or go on with one
/cost         what this session cost so far
/quit         leave (so does Ctrl-D); Ctrl-C ends an answer"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument(
        "message", nargs="?", default="", help="one question, with what is piped in; without it a conversation begins"
    )
    parser.add_argument("--model", default="", metavar="PROVIDER/NAME", help="who answers, instead of the setting")
    parser.add_argument("--task", default="", help="kind of work, to choose a model by")
    parser.add_argument("--prompt", default="", metavar="NAME", help="a stored prompt, as system prompt")
    parser.add_argument("--context", default="", metavar="NAME", help="the conversation to go on with, or begin")
    parser.add_argument(
        "--attach", action="append", default=[], metavar="FILE", help="a file to send along; repeatable"
    )
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Talk; 2 when the one question was not answered."""
    settings = flags.loaded(arguments).settings
    piped = "" if sys.stdin.isatty() or not arguments.message else sys.stdin.read()
    # What a person names at their own terminal they may send, wherever it is.
    arguments.attach = [str(Path(name).expanduser().absolute()) for name in arguments.attach]
    with services(settings) as kept, asyncio.Runner() as runner:
        kept.roots = Roots([*settings.roots, *arguments.attach])
        session = Session(kept, runner, arguments)
        try:
            if arguments.message:
                return 0 if session.say("\n\n".join(filter(None, (arguments.message, piped)))) else 2
            session.converse()
        finally:
            runner.run(kept.aclose())
    return 0


@dataclass(slots=True)
class Words(ToolContext):
    """Prints an answer as it comes: every progress has at least the words since the last."""

    shown: int = 0

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Print what is new."""
        new = int(done) - self.shown
        if message and new > 0:
            sys.stdout.write(message[-new:])
            sys.stdout.flush()
            self.shown = int(done)


class Session:
    """One sitting at the terminal.

    :param kept: The models, and where conversations are kept.
    :param runner: One event loop for all of it, so that lines to providers stay open.
    :param arguments: Those of the command.
    """

    def __init__(self, kept: Services, runner: asyncio.Runner, arguments: argparse.Namespace) -> None:
        self._kept = kept
        self._runner = runner
        self._tools = ChatTools(kept)
        self._model: str = arguments.model
        self._context: str = arguments.context
        self._task: str = arguments.task
        self._prompt: str = arguments.prompt
        self._attach: list[str] = arguments.attach
        self._cost = Decimal(0)
        self._calls = self._tokens = self._unpriced = 0

    def say(self, message: str) -> bool:
        """Ask, print the answer as it comes and what it took; whether there was one."""
        words = Words()
        question = self._tools.chat(
            message,
            words,
            model=self._model,
            task=self._task,
            context_id=self._context,
            prompt=self._prompt,
            attachments=self._attach,
        )
        try:
            answer = self._runner.run(question)
        except RactoError as error:
            if words.shown:
                out()
            refuse(error.message, error.hint)
            return False
        self._attach = []
        out(answer.text[words.shown :])
        self._count(answer)
        err(styled(answer.footnote(), "dim", sys.stderr))
        for warning in answer.warnings:
            err(styled(f"Note: {warning}", "dim", sys.stderr))
        return True

    def converse(self) -> None:
        """Answer line by line until the input ends or `/quit`."""
        self._context = self._context or f"chat-{datetime.now():%Y%m%d-%H%M%S}"
        if not self._model and not self._default():
            problem = nothing_set_up("RACTO_MODELS=ollama/llama3.2")
            raise InputError(problem.message, problem.hint)
        err(f"Conversation {self._context} with {self._who()}. /help says what else there is.")
        for line in _lines():
            words = line.split()
            if not words:
                continue
            if words[0] == "/quit":
                return
            try:
                if words[0].startswith("/"):
                    self._command(words[0], " ".join(words[1:]))
                else:
                    self.say(line)
            except KeyboardInterrupt:
                out()
                err("(interrupted)")
            except RactoError as error:
                refuse(error.message, error.hint)

    def _command(self, word: str, rest: str) -> None:
        if word == "/model":
            self._model = rest or self._model
            err(self._who())
        elif word == "/new":
            self._context = rest or f"chat-{datetime.now():%Y%m%d-%H%M%S}"
            err(f"Conversation {self._context}")
        elif word == "/cost":
            unknown = f" and {self._unpriced} of unknown price" if self._unpriced else ""
            err(f"{dollars(self._cost)}{unknown} for {self._calls} answers, {self._tokens:,} tokens")
        elif word == "/help":
            err(HELP)
        else:
            raise unknown_name("command", word, ("/model", "/new", "/cost", "/help", "/quit"))

    def _who(self) -> str:
        return self._model or self._default()

    def _default(self) -> str:
        """Who answers when nobody is named: the chain, or what runs on this machine; "" for nobody."""
        gateway = self._kept.connected().gateway
        return ", then ".join(map(str, gateway.routes.chain)) or str(self._runner.run(gateway.default()) or "")

    def _count(self, answer: Answer) -> None:
        self._calls += 1
        self._tokens += answer.usage.get("total_tokens", 0)
        self._cost += answer.cost or 0
        self._unpriced += answer.cost is None


def _lines() -> Iterator[str]:
    """What the person says, line by line; at a terminal with a prompt and line editing."""
    if not sys.stdin.isatty():
        yield from map(str.rstrip, sys.stdin)
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - importing it is what makes `input` edit; Windows has none
    while True:
        try:
            yield input("> ")
        except EOFError:
            err("")
            return
        except KeyboardInterrupt:
            err("(Ctrl-D leaves)")
