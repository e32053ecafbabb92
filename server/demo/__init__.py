"""The demonstration: the official MCP client talks to `racto serve` over stdio, and every answer is checked."""

from __future__ import annotations

import asyncio
import re
import shlex
import tempfile
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...knowledge.errors import RactoError, TimeLimitError
from ..console import Bar, out, styled
from ..doctor import innermost
from ..hosts import HOSTS, block, command, environment
from ..settings import load

if TYPE_CHECKING:
    from mcp import Client

DOCUMENTS = Path(__file__).parent / "documents"
"""Papers of an observatory that does not exist: two PDFs, a Word document, Markdown and HTML."""

LIMIT = 90.0
"""Seconds the whole demonstration may take."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the page that has to be cited first.

    :param section: Part of its headings.
    """

    text: str
    document: str
    page: str = ""
    section: str = ""


QUESTIONS = (
    Question("How often is the primary mirror washed?", "telescope-handbook.pdf", page="page 3"),
    Question("How much did donations grow?", "annual-report-2025.pdf", page="page 2"),
    Question("What do we do when there is lightning?", "safety-rules.md", section="Lightning"),
)

PROMPT: dict[str, Any] = {
    "role": "Librarian of the observatory",
    "aim": "Answer the question {question} from the pages that were found.",
    "constraints": ["Use at most three sentences.", "Name document and page after every claim."],
    "tone": "Friendly and exact",
    "output_format": "text",
}


def run() -> None:
    """Show everything; raises when an answer is not the one that was expected.

    :raises RactoError: what was expected and what came instead.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="racto-demo-") as folder:
        try:
            asyncio.run(asyncio.wait_for(_show(Path(folder)), LIMIT))
        except TimeoutError:
            raise TimeLimitError(f"The demo took longer than {LIMIT:g} s.", "Run `racto doctor`.") from None
        except Exception as error:
            cause = innermost(error)
            if isinstance(cause, RactoError | OSError):
                raise cause from None
            raise RactoError(f"The server did not answer as it should: {cause}.", "Run `racto doctor`.") from error
    out(f"\nThat took {time.perf_counter() - began:.1f} s, without a key, an account or the network.")
    out(
        f"\n{styled('Now yours.', 'bold')} Run `racto install claude`, or paste this into claude_desktop_config.json and restart Claude Desktop:\n"
    )
    out(block(HOSTS["claude"], environment(load())))


async def _show(folder: Path) -> None:
    from mcp import Client, StdioServerParameters

    config = folder / "config.toml"
    config.touch()  # whoever runs this may have settings of their own
    variables = {"RACTO_CONFIG": str(config), "RACTO_DATABASE": str(folder / "racto.db"), "RACTO_ROOTS": str(DOCUMENTS)}
    program, arguments = command()
    _step("An MCP client starts the server, as Claude Desktop would")
    out(f"  $ {shlex.join([program, *arguments])}")
    began = time.perf_counter()
    async with Client(StdioServerParameters(command=program, args=arguments, env=variables)) as client:
        tools = (await client.list_tools()).tools
        took = time.perf_counter() - began
        out(f"  answered in {took:.2f} s: {len(tools)} tools, protocol {client.protocol_version}")
        await _index(client)
        for question in QUESTIONS:
            await _ask(client, question)
        await _read(client, QUESTIONS[0])
        await _prompt(client)


async def _index(client: Client) -> None:
    _step(f"It indexes a folder: {DOCUMENTS}")
    bar = Bar()

    async def told(progress: float, total: float | None, message: str | None) -> None:
        bar.draw(progress, total, message)

    began = time.perf_counter()
    result = await client.call_tool("page_ingest", {"path": str(DOCUMENTS)}, progress_callback=told)
    took = time.perf_counter() - began
    bar.clear()
    report = _structure("page_ingest", result)
    names = {path.name for path in DOCUMENTS.iterdir()}
    _expect("documents", {Path(source).name for source in report["documents"]}, names)
    _expect("failures", report["failed"], [])
    out(f"  {report['added']} documents ({', '.join(sorted(names))})")
    out(f"  {report['pages']} pages in {took:.2f} s")


async def _ask(client: Client, question: Question) -> None:
    _step(f"It searches: {question.text}")
    found = _structure("page_search", await client.call_tool("page_search", {"query": question.text, "top_k": 3}))
    first = found["results"][0] if found["results"] else {}
    _expect("cited document", first.get("document"), question.document)
    if question.page:
        _expect("cited page", first["page"], question.page)
    if question.section not in first["section"]:
        _expect("cited section", first["section"], question.section)
    section = f", {first['section']}" if first["section"] else ""
    out(f"  → {styled(first['document'] + ', ' + first['page'], 'cyan')}{section}")
    out(re.sub(r"\*\*(.+?)\*\*", lambda word: styled(word[1], "bold"), _indented(first["snippet"])))


async def _read(client: Client, question: Question) -> None:
    number = question.page.removeprefix("page ")
    _step(f"It reads a whole page: {question.document}, {question.page}")
    arguments = {"document": question.document, "pages": number}
    excerpt = _structure("page_read", await client.call_tool("page_read", arguments))
    (page,) = excerpt["pages"]
    _expect("page", page["page"], question.page)
    out(_indented(page["text"], lines=3))


async def _prompt(client: Client) -> None:
    _step("It checks, compiles and keeps a RACTO prompt")
    findings = _structure("prompt_check", await client.call_tool("prompt_check", PROMPT))["findings"]
    _expect("errors in the prompt", [one["what"] for one in findings if one["severity"] == "error"], [])
    compiled = await client.call_tool("prompt_compile", PROMPT)
    text = _text("prompt_compile", compiled)
    _expect("first section of the compiled prompt", text.partition("\n")[0], "[ROLE]")
    out(_indented(text, lines=8))
    saved = _structure("prompt_save", await client.call_tool("prompt_save", {"name": "cited-answer", **PROMPT}))
    _expect("version of the stored prompt", saved["version"], 1)
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    _expect("prompts offered to people", sorted(prompts), ["cited-answer"])
    filled = await client.get_prompt("cited-answer", {"question": QUESTIONS[0].text})
    message = filled.messages[0].content
    _expect("question in the prompt", getattr(message, "text", "").count(QUESTIONS[0].text), 1)
    names = ", ".join(argument.name for argument in prompts["cited-answer"].arguments or [])
    out(
        f"  kept as the MCP prompt {styled('cited-answer', 'cyan')} (arguments: {names}); people pick it in their client"
    )


def _step(title: str) -> None:
    out(f"\n{styled(title, 'bold')}")


def _indented(text: str, lines: int = 4) -> str:
    """The first lines of a text, set off from what the demo says itself."""
    wrapped = [part for line in text.splitlines() for part in textwrap.wrap(line, 100)]
    shown = wrapped[:lines] + (["…"] if len(wrapped) > lines else [])
    return textwrap.indent("\n".join(shown), "    ")


def _text(tool: str, result: Any) -> str:
    text = "\n".join(part.text for part in result.content if part.type == "text")
    if result.is_error:
        raise RactoError(f"{tool} failed: {text}", "Run `racto doctor`.")
    return text


def _structure(tool: str, result: Any) -> Mapping[str, Any]:
    text = _text(tool, result)
    if not isinstance(result.structured_content, Mapping):
        raise RactoError(f"{tool} answered without structure: {text[:200]}", "Run `racto doctor`.")
    return result.structured_content


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise RactoError(f"The demo expected {what} to be {expected!r}, and it is {found!r}.", "Run `racto doctor`.")
