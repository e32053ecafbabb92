"""`racto export`: a collection as one file, to keep, to carry or to give away."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...tools.page_results import counted
from ..app import services
from ..console import Bar, out
from . import flags

EXAMPLES = """\
  racto export notes notes.racto
  racto export                            the collection default, to default.racto
  racto export notes notes.racto --overwrite"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("collection", nargs="?", default="default", help="which (default)")
    parser.add_argument("file", nargs="?", type=Path, help="where to; by default NAME.racto here")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say what is in it."""
    from ...knowledge.transfer import export_collection

    target = arguments.file or Path(f"{arguments.collection}.racto")
    bar = Bar()
    with services(flags.loaded(arguments).settings) as kept:
        try:
            done = export_collection(
                kept.database, arguments.collection, target, overwrite=arguments.overwrite, progress=bar.draw
            )
        finally:
            bar.clear()
    parts = {"document": done.documents, "page": done.pages, "passage": done.chunks, "vector": done.vectors}
    out(f"{done.collection}: {', '.join(counted(number, word) for word, number in parts.items())} in {done.path}")
    return 0
