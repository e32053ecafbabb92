"""`racto doctor`: what works here, what does not, and the exact fix."""

from __future__ import annotations

import argparse

from ...knowledge.salvage import rebuild
from ..console import Bar, err, out, styled
from ..doctor import examine
from ..settings import Settings
from . import flags

EXAMPLES = """\
  racto doctor                look at everything; exit code 1 when something is broken
  racto doctor --rebuild      save what can be read of a damaged database"""

_SIGNS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "broken": ("✗", "red")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="move the database aside and make a new one with everything that can be read",
    )
    flags.add(parser, "database", "roots")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 when something is broken."""
    loaded = flags.loaded(arguments)
    if arguments.rebuild:
        return _rebuild(loaded.settings)
    broken = 0
    for finding in examine(loaded.settings):
        sign, colour = _SIGNS[finding.state]
        out(f"{styled(sign, colour)} {styled(finding.about, 'bold')}: {finding.said}")
        if finding.fix:
            out(f"    → {finding.fix}")
        broken += finding.state == "broken"
    out(f"\n{f'{broken} broken.' if broken else 'Everything racto needs works.'}")
    return 1 if broken else 0


def _rebuild(settings: Settings) -> int:
    bar = Bar()
    salvage = rebuild(settings.database, bar.draw)
    bar.clear()
    saved = salvage.saved
    out(
        f"Saved {saved['documents'] - len(salvage.lost_documents)} documents and {saved['prompt_versions']} prompt versions."
    )
    for source in salvage.lost_documents:
        out(f"Lost, ingest it again: {source}")
    if salvage.lost_pages:
        out(f"Lost: {salvage.lost_pages} pages whose document is not known any more.")
    err(f"The damaged file is kept as {salvage.aside}. Restart the programs that use racto.")
    return 0
