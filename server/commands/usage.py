"""`racto usage`: what calls to models cost."""

from __future__ import annotations

import argparse
import asyncio

from ...agents.calls import plain
from ...tools.usage import report
from ..app import services
from ..console import out, out_json
from . import flags

EXAMPLES = """\
  racto usage                             by provider and model, since ever
  racto usage --period monthly --by day
  racto usage --by user component --since 2026-11-01"""

BY = ("user", "component", "task", "provider", "model", "streamed", "cached", "outcome", "day")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument(
        "--by", nargs="+", choices=BY, default=["provider", "model"], metavar="WHAT", help=", ".join(BY)
    )
    parser.add_argument(
        "--period", choices=("ever", "daily", "weekly", "monthly"), default="ever", help="the one that runs"
    )
    parser.add_argument("--since", default="", metavar="TIME", help="ISO date or time, instead of a period")
    parser.add_argument("--until", default="", metavar="TIME", help="likewise, not included")
    parser.add_argument("--json", action="store_true", help="print data instead of lines")
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    settings = flags.loaded(arguments).settings
    with services(settings) as kept:
        found = asyncio.run(
            report(
                kept.connected().budget,
                arguments.by,
                period=arguments.period,
                since=arguments.since,
                until=arguments.until,
            )
        )
    if arguments.json:
        out_json(plain(found))
    else:
        out(found.render())
    return 0
