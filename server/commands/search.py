"""`racto search`: passages of indexed documents that answer a question, cited, with the words that match marked."""

from __future__ import annotations

import argparse
import asyncio
import textwrap
from typing import TYPE_CHECKING

from ...agents.calls import plain
from ...knowledge.errors import InputError
from ...tools.rag import RagTools
from ..app import services
from ..console import out, out_json, styled
from . import flags

if TYPE_CHECKING:
    from ...tools.rag_results import Passage, Passages

EXAMPLES = """\
  racto search "how long may goods be returned"
  racto search "net revenue 2022" --collection filings --top-k 10 --source 3M_2022.pdf
  racto search "ERR_4711" --mode words --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument(
        "query", metavar="QUESTION", help="what to look for, in the words of the documents if you know them"
    )
    parser.add_argument("--collection", default="default", metavar="NAME", help="documents that are searched together")
    parser.add_argument("--top-k", type=int, default=5, metavar="N", help="how many passages (5)")
    parser.add_argument(
        "--mode", choices=("hybrid", "words", "meaning"), default="hybrid", help="hybrid is best for nearly everything"
    )
    parser.add_argument(
        "--source", default="", metavar="WHICH", help="only this document or folder, or a pattern (*.md)"
    )
    parser.add_argument(
        "--neighbours", type=int, default=0, metavar="N", help="also the passages before and after each"
    )
    parser.add_argument("--json", action="store_true", help="print data instead of text")
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit code is 1 when nothing was."""
    if arguments.top_k < 1:
        raise InputError(f"{arguments.top_k} passages cannot be shown.", "Ask for --top-k 1 or more.")
    settings = flags.loaded(arguments).settings
    with services(settings) as kept:
        kept.follows = False
        found = asyncio.run(_search(RagTools(kept), arguments))
    if arguments.json:
        out_json(plain(found))
    else:
        _show(found)
    return 0 if found.results else 1


async def _search(tools: RagTools, arguments: argparse.Namespace) -> Passages:
    return await tools.rag_search(
        arguments.query,
        arguments.collection,
        arguments.top_k,
        arguments.mode,
        arguments.neighbours,
        source=arguments.source,
    )


def _show(found: Passages) -> None:
    for one in found.results:
        out(f"{styled(f'[{one.rank}] {one.citation}', 'bold')}  {styled(one.why, 'dim')}")
        out(textwrap.indent(_marked(found.query, one), "    "))
        out()
    for note in found.notes:
        out(styled(note, "yellow"))
    if not found.results:
        out(
            f"No passage of {found.collection} answers this. Try other words; `racto call page_list` shows what is indexed."
        )


def _marked(query: str, one: Passage) -> str:
    """The text with the words that match in another colour."""
    from ...knowledge.analyser import detect_language, query_terms, spans_of

    text = one.around or one.text
    language = detect_language(text)
    parts, reached = [], 0
    for _, start, end in sorted(
        spans_of(set(query_terms(query, [language])), text, language), key=lambda span: span[1:]
    ):
        if start >= reached:
            parts += [text[reached:start], styled(text[start:end], "green")]
            reached = end
    return "".join([*parts, text[reached:]])
