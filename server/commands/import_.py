"""`racto import`: a collection out of a file that `racto export` wrote."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...tools.page_results import counted
from ..app import services
from ..console import Bar, out
from . import flags

EXAMPLES = """\
  racto import notes.racto
  racto import notes.racto --as notes-of-ann
  racto import notes.racto --replace"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("file", type=Path, help="the file")
    parser.add_argument("--as", dest="name", metavar="NAME", help="another name than the collection had")
    parser.add_argument("--replace", action="store_true", help="take the place of a collection of that name")
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Read the file and say what was in it."""
    from ...knowledge.transfer import import_collection

    bar = Bar()
    with services(flags.loaded(arguments).settings) as kept:
        try:
            done = import_collection(
                kept.database, arguments.file, collection=arguments.name, replace=arguments.replace, progress=bar.draw
            )
        finally:
            bar.clear()
    parts = {"document": done.documents, "page": done.pages, "passage": done.chunks}
    out(f"{done.collection}: {', '.join(counted(number, word) for word, number in parts.items())}")
    if done.chunks > done.vectors:
        lacking = counted(done.chunks - done.vectors, "passage")
        out(f"Without a vector: {lacking}; with an embedding model they get one when documents are next ingested.")
    if done.former:
        out(f"Replaced: {counted(done.former, 'document')}; page_restore brings them back for 30 days.")
    return 0
