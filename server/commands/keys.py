"""`racto keys`: the keys of hosted models, kept where only their owner can read them."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass

from ...knowledge.errors import InputError
from ..console import err, out
from ..secrets import KNOWN, own

EXAMPLES = """\
  racto keys                          which keys are known, and from where
  racto keys set OPENAI_API_KEY       asks for it; nothing is shown or remembered by the shell
  racto keys delete OPENAI_API_KEY"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("action", nargs="?", choices=("list", "set", "delete"), default="list")
    # No value on the command line: other users of the machine can see it, and the shell keeps it.
    parser.add_argument("name", nargs="?", default="", help=f"such as {', '.join(list(KNOWN)[:3])}")


def run(arguments: argparse.Namespace) -> int:
    """Do it; a key itself is never printed."""
    secrets = own()
    if arguments.action == "list":
        found = secrets.list()
        for each in found:
            out(f"{each.name}  {each.place}{f'  for {KNOWN[each.name]}' if each.name in KNOWN else ''}")
        if not found:
            out(f"No key is known. Keep one: racto keys set {next(iter(KNOWN))}")
        return 0
    if not arguments.name:
        raise InputError("Which key?", f"For example: racto keys {arguments.action} {next(iter(KNOWN))}")
    if arguments.action == "delete":
        secrets.delete(arguments.name)
        err(f"{arguments.name} is forgotten.")
        return 0
    value = getpass(f"{arguments.name}: ") if sys.stdin.isatty() else sys.stdin.readline()
    secrets.set(arguments.name, value)
    err(f"{arguments.name} is kept in {secrets.path}, readable by you alone.")
    return 0
