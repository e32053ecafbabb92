"""`racto install`: add racto to the program that will use it."""

from __future__ import annotations

import argparse
import difflib

from .. import hosts
from ..console import err, out
from . import flags

EXAMPLES = """\
  racto install claude --dry-run               show what would change
  racto install claude --root ~/papers         let Claude Desktop read ~/papers
  racto install vscode                         for the project in this folder
  racto install claude --uninstall             take racto out again"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("program", choices=hosts.HOSTS, help="the program to add racto to")
    parser.add_argument("--dry-run", action="store_true", help="print the change and write nothing")
    parser.add_argument("--uninstall", "--undo", action="store_true", help="take racto out; everything else stays")
    flags.add(parser, "roots", "database")


def run(arguments: argparse.Namespace) -> int:
    """Change the host's file, or show the change."""
    loaded = flags.loaded(arguments)
    host = hosts.HOSTS[arguments.program]
    path = host.path()
    before, after = (
        hosts.without_racto(host) if arguments.uninstall else hosts.with_racto(host, hosts.environment(loaded))
    )
    if before == after:
        err(f"{path} needs no change.")
        return 0
    if arguments.dry_run:
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"{path} (now)", f"{path} (then)", lineterm=""
        )
        out("\n".join(lines))
        return 0
    backup = hosts.write(host, after)
    err(f"{'Removed racto from' if arguments.uninstall else 'Added racto to'} {path}.")
    if backup:
        err(f"The old file is kept as {backup.name} beside it.")
    for root in loaded.settings.roots:
        if not arguments.uninstall and not root.exists():
            err(f"{root} does not exist yet; --root DIR names the folder racto may read.")
    err(host.after)
    return 0
