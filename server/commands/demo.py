"""`racto demo`: see it work before you install it."""

from __future__ import annotations

import argparse

from ..demo import run as show

EXAMPLES = """\
  racto demo"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command has no flags."""


def run(arguments: argparse.Namespace) -> int:
    """Show it; an answer that is not as expected is an error."""
    show()
    return 0
