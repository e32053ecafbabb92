"""The command line: `racto COMMAND …`. Nothing goes to stdout but results; what a person is told goes to stderr.

Each command is a module of `commands/`, imported when it is the one called, so that a host waits for nothing it does not need.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from ..knowledge.errors import RactoError, unknown_name
from .commands import COMMANDS
from .console import out, refuse
from .start import importing

BROKEN = 1
"""Exit code when the command ran and what it looked at is not as it should be."""
REFUSED = 2
"""Exit code when the command could not do what it was asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: What follows `racto` on the command line; `None` takes it from the process.
    :returns: The exit code: 0 done, 1 something is broken, 2 refused, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # rather a question mark than a crash where the terminal has few characters
    try:
        return _run(words)
    except RactoError as error:
        if os.environ.get("RACTO_LOG_LEVEL", "").lower() == "debug":
            raise
        refuse(error.message, error.hint)
        return REFUSED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe left: `racto tools | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    name = words[0] if words else ""
    if name not in COMMANDS:
        return _overview(words)
    with importing():
        command = import_module(f".commands.{COMMANDS[name].module}", __package__)
    code: int = command.run(parser(name).parse_args(words[1:]))
    sys.stdout.flush()  # here, where a reader that left is no error
    return code


def parser(name: str) -> argparse.ArgumentParser:
    """What the command of this name takes from the command line; imports the command."""
    command = import_module(f".commands.{COMMANDS[name].module}", __package__)
    made = argparse.ArgumentParser(
        prog=f"racto {name}",
        description=COMMANDS[name].summary,
        epilog=f"examples:\n{command.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(made)
    return made


def _overview(words: list[str]) -> int:
    """What there is when no command was named: help, the version, or the nearest command."""
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="racto",
        usage="racto COMMAND [options]",
        description="A private, offline MCP server: RACTO prompts and cited page retrieval.",
        epilog=f"commands:\n{listing}\n\n`racto COMMAND --help` says more, with examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    known, _ = parser.parse_known_args(words)
    if known.version:
        from importlib.metadata import version

        out(f"racto {version('racto')}")
        return 0
    if known.command:
        raise unknown_name("command", known.command, COMMANDS)
    parser.print_help(sys.stderr if words else None)
    return REFUSED if words else 0


if __name__ == "__main__":
    sys.exit(main())
