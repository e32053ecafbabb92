"""`racto rebuild`: the index and the vectors made again from the stored text."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from ...knowledge import catalogue, indexing
from ...knowledge.errors import UnknownNameError
from ..app import services
from ..console import Bar, err, out
from . import flags

if TYPE_CHECKING:
    from ...knowledge.database import Database
    from ...knowledge.library import Library

EXAMPLES = """\
  racto rebuild                         make the index of every collection again
  racto rebuild --collection filings    of one
  racto rebuild --vectors               and the vectors: after damage, or with another embedding model"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("--collection", metavar="NAME", help="only this one")
    parser.add_argument(
        "--vectors",
        action="store_true",
        help="throw the vectors away too and have them made again, which asks the embedding model for every passage",
    )
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Make them again; the documents stay as they are."""
    settings = flags.loaded(arguments).settings
    if not settings.database.is_file():
        raise UnknownNameError(
            f"There is no database {settings.database}.", "It is made on first use; there is nothing to rebuild."
        )
    with services(settings) as kept:
        for name in _names(kept.database, arguments.collection):
            out(f"{name}: {_index(kept.database, name):,} pages indexed")
            if arguments.vectors:
                out(f"{name}: {_vectors(kept.libraries.get(name))}")
    return 0


def _names(database: Database, wanted: str | None) -> list[str]:
    with database.reading() as connection:
        if wanted is not None:
            return [catalogue.known_collection(connection, wanted).name]
        return [row[0] for row in connection.execute("SELECT name FROM collections ORDER BY name")]


def _index(database: Database, name: str) -> int:
    """Make the inverted index of a collection again, in one transaction.

    :returns: How many pages it has.
    """
    bar = Bar()
    try:
        with database.writing() as connection:
            collection = catalogue.known_collection(connection, name)
            indexing.reindex(connection, collection, lambda done, total: bar.draw(done, total, f"indexing {name}"))
            return catalogue.counts(connection, collection)[1]
    finally:
        bar.clear()


def _vectors(library: Library) -> str:
    """Have the vectors of a collection made again.

    :returns: What became of them.
    """
    library.forget_vectors()
    if library.embedder is None:
        err(
            "There is no embedding model, so words are searched alone. Set RACTO_EMBEDDING_MODELS and run this again to search for meaning."
        )
        return "no vectors any more"
    bar = Bar()
    try:
        done = asyncio.run(library.embed(lambda at, total: bar.draw(at, total, f"embedding {library.collection}")))
    finally:
        bar.clear()
    return f"{done.done:,} vectors made in {done.seconds:.1f} s"
