"""`racto sql`: a configured database at the terminal, behind the same guard as the tools; interactive, or one query and out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ...knowledge.errors import ConfigError, InputError, RactoError
from ..app import services
from ..console import err, out, refuse, styled
from ..tables import safe, safe_lines, table
from . import flags

if TYPE_CHECKING:
    from ...tools.sql.results import QueryResult

EXAMPLES = """\
  racto sql sales                               interactive; \\? says what else it knows
  racto sql sales "SELECT country, count(*) FROM customers GROUP BY country"
  racto sql sales "SELECT month, total FROM revenue" --chart line
  racto sql sales "SELECT * FROM orders" --csv > orders.csv
  racto sql sales --json < report.sql"""

CHARTS = ("auto", "bar", "line", "scatter", "pie", "histogram", "box", "area", "heatmap", "violin", "funnel")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("name", nargs="?", default="", help="a database of the settings; the only one when left out")
    parser.add_argument(
        "query", nargs="?", default="", help="one SELECT; without it, what is piped in, or a conversation"
    )
    parser.add_argument(
        "--chart",
        nargs="?",
        const="auto",
        default="",
        choices=CHARTS,
        help="also draw the result, as it fits or as named",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")
    form.add_argument("--csv", action="store_true", help="print the rows as CSV")
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Answer; a query that is refused or fails is an error."""
    if arguments.chart and (arguments.json or arguments.csv):
        raise InputError("A chart is no JSON or CSV.", "Leave one of them out.")
    settings = flags.loaded(arguments).settings
    with services(settings) as kept:
        if not kept.databases.listed:
            raise ConfigError(
                "No database is configured.",
                "Set RACTO_SQL_DATABASES=sales=/path/to/sales.db, or [sql_databases.sales] with its url in the config file.",
            )
        if not arguments.name and len(kept.databases.listed) > 1:
            known = ", ".join(one.name for one in kept.databases.listed)
            raise InputError("Which database?", f"Name it: racto sql NAME, one of {known}.")
        source = kept.databases.source(arguments.name)
        query = arguments.query or ("" if sys.stdin.isatty() else sys.stdin.read())
        if not query.strip():
            if not sys.stdin.isatty():
                raise InputError("There is no query.", "Give it as an argument, or pipe it in.")
            from ..sql_shell import Shell

            Shell(kept, source, settings.database.parent / "sql_history").converse()
            return 0
        from ...tools.sql.exports import csv_text, json_text

        try:
            result = source.query(query)
        except RactoError as error:  # a database may quote its data in what it says
            refuse(safe_lines(error.message), safe_lines(error.hint))
            return 2
        if arguments.json:
            out(json_text(result.names, result.rows))
        elif arguments.csv:
            sys.stdout.write(csv_text(result.names, result.rows))
        else:
            _show(result, arguments.chart)
    for note in _notes(result):
        err(styled(f"Note: {safe(note)}", "dim", sys.stderr))
    return 0


def _show(result: QueryResult, chart: str) -> None:
    from ..sql_shell import drawing, width

    out(table(result, len(result.rows), width() if sys.stdout.isatty() else None))
    if chart:
        out()
        out(drawing(result, chart))


def _notes(result: QueryResult) -> list[str]:
    more = [f"There are more than these {len(result.rows):,} rows."] if result.truncated else []
    return [*result.notes, *more]
