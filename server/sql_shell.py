"""A sitting at a database: queries until `;`, and the commands of `HELP`."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from ..agents.calls import ToolContext
from ..knowledge.errors import AccessError, DeclinedError, InputError, RactoError, unknown_name
from .console import err, out, refuse, styled
from .tables import safe, safe_lines, table

if TYPE_CHECKING:
    from ..tools.services import Services
    from ..tools.sql.answers import SQLAnalystResult
    from ..tools.sql.results import QueryResult
    from ..tools.sql.source import Source

HELP = """\
SELECT …;         run a query; it ends at the semicolon, on whichever line
\\d                the tables
\\d TABLE          one table: its columns, keys and what they mean
\\chart [TYPE]     draw the last result, as it fits or as bar, line, scatter, pie, histogram, box, area, heatmap, violin, funnel
\\explain [QUERY]  how the database would go about a query, or the last one
\\export FILE      the last result as FILE.csv, FILE.json or FILE.xlsx, in this folder
\\ask QUESTION     have a model write the query and say what comes out
\\verified         the queries that were kept as right answers, and who approved them
\\forget ID        forget one of them
\\q                leave (so does Ctrl-D); Ctrl-C ends a query"""

ROWS = 200
"""Rows that are shown; `\\export` has all of them."""
HISTORY = 1000
"""Lines that are remembered."""

_WHOLE = r"\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$"
_PLAIN = re.compile(rf"'(?:[^']|'')*'|{_WHOLE}", re.DOTALL)
_BACKSLASH = re.compile(rf"'(?:[^'\\]|\\.|'')*'|{_WHOLE}", re.DOTALL)


class Shell:
    """One sitting.

    :param kept: Where the models are.
    :param history: The file that remembers what was typed, for its owner only.
    """

    def __init__(self, kept: Services, source: Source, history: Path) -> None:
        self._kept = kept
        self._source = source
        self._history = history
        self._runner = asyncio.Runner()
        self._result: QueryResult | None = None
        self._sql = ""
        self._commands: dict[str, Callable[[str], None]] = {
            "d": self._describe,
            "chart": self._chart,
            "explain": self._explain,
            "export": self._export,
            "ask": self._ask,
            "verified": lambda _: self._verified(),
            "forget": self._forget,
            "?": lambda _: err(HELP),
        }

    def converse(self) -> None:
        """Answer until the input ends or `\\q`."""
        dialect = self._source.catalogue().dialect
        err(f"{self._source.name} ({dialect}), reading only. \\? says what there is besides SELECT …;")
        with _remembered(self._history), self._runner, self._connected():
            for text in self._entries(dialect):
                if text.split()[0] in ("\\q", "\\quit"):
                    return
                try:
                    self._answer(text)
                except KeyboardInterrupt:
                    self._source.cancel()
                    err("(interrupted)")
                except RactoError as error:
                    refuse(safe_lines(error.message), safe_lines(error.hint))

    @contextmanager
    def _connected(self) -> Generator[None]:
        """One event loop for all of it, so that lines to models stay open."""
        try:
            yield
        finally:
            self._runner.run(self._kept.aclose())

    def _answer(self, text: str) -> None:
        if not text.startswith("\\"):
            self._query(text)
            return
        word, _, rest = text.removeprefix("\\").partition(" ")
        if word not in self._commands:
            raise unknown_name("command", word, (*self._commands, "q"))
        self._commands[word](rest.strip().removesuffix(";"))

    def _entries(self, dialect: str) -> Iterator[str]:
        """Queries and commands, each whole, as they are typed."""
        lines: list[str] = []
        while True:
            try:
                line = input(f"{self._source.name}> " if not lines else f"{'->':>{len(self._source.name) + 1}} ")
            except EOFError:
                err("")
                return
            except KeyboardInterrupt:
                err("" if lines else "(Ctrl-D leaves)")
                lines = []
                continue
            if not lines and (not line.strip() or line.lstrip().startswith("\\")):
                if line.strip():
                    yield line.strip()
                continue
            lines.append(line)
            if ends("\n".join(lines), dialect):
                yield "\n".join(lines)
                lines = []

    def _query(self, sql: str) -> None:
        self._sql = sql
        self._result = self._source.query(sql)
        self._show(self._result)

    def _show(self, result: QueryResult) -> None:
        out(table(result, ROWS, width()))
        count = len(result.rows)
        said = (
            f"{count:,} row{'s' if count != 1 else ''}{' or more' if result.truncated else ''}, {result.seconds:.3f} s"
        )
        err(styled(f"{said}{f'; the first {ROWS} are shown' if count > ROWS else ''}", "dim", sys.stderr))
        for note in result.notes:
            err(styled(f"Note: {safe(note)}", "dim", sys.stderr))

    def _describe(self, name: str) -> None:
        if name:
            _print(self._source.tables([name.strip('"`')]))
            return
        for one in self._source.catalogue().tables:
            rows = "" if one.row_count is None else f", {one.row_count:,} rows"
            comment = f"  {one.comment}" if one.comment else ""
            _print(f"{one.full_name}  ({one.kind}, {len(one.columns)} columns{rows}){comment}")

    def _chart(self, kind: str) -> None:
        out(drawing(self._last(), kind or "auto"))

    def _explain(self, sql: str) -> None:
        if not (sql or self._sql):
            raise InputError("Which query?", "\\explain SELECT …, or run one first.")
        _print(self._source.explain(sql or self._sql))

    def _export(self, name: str) -> None:
        from ..tools.sql import exports

        result = self._last()
        path = Path(name).resolve()
        kind = path.suffix.lower()
        if kind not in (".csv", ".json", ".xlsx"):
            raise InputError("Which file?", "Name one that ends in .csv, .json or .xlsx: \\export orders.csv")
        if not path.is_relative_to(Path.cwd().resolve()):
            raise AccessError(f"{name} is not in this folder.", "Export to a file in or below the current folder.")
        if path.exists() and input(f"{name} is there already. Replace it? [y/N] ").strip().lower() not in ("y", "yes"):
            raise DeclinedError(f"{name} was left as it is.")
        if kind == ".xlsx":
            content: str | bytes = exports.excel(result.names, result.rows)
        else:
            content = (exports.csv_text if kind == ".csv" else exports.json_text)(result.names, result.rows)
        exports.save(path, content)
        err(f"{len(result.rows):,} rows in {name}")

    def _ask(self, question: str) -> None:
        if not question:
            raise InputError("Nothing is asked.", "\\ask which country bought most?")
        answered = self._runner.run(self._answered(question))
        if answered.answer:
            _print(answered.answer)
        if answered.sql_query:
            err(styled(safe_lines(answered.sql_query), "dim", sys.stderr))
        if answered.result is not None:
            self._result, self._sql = answered.result, answered.sql_query
            self._show(answered.result)
            if answered.chart_spec:
                out(drawing(answered.result, answered.chart_spec))
        for note in (*answered.assumptions, *answered.notes):
            err(styled(f"Note: {safe(note)}", "dim", sys.stderr))

    def _verified(self) -> None:
        from ..tools.sql.verified import VerifiedQueries

        kept = VerifiedQueries(self._kept.database).listed(self._source.name)
        if not kept:
            err("None: the tool sql_save_verified keeps one, when you say yes.")
        for one in kept:
            _print(f"{one.id}  {one.question}  ({one.approved_by}, {one.approved_at[:10]})\n{indent(one.sql, '   ')}")

    def _forget(self, number: str) -> None:
        from ..tools.sql.verified import VerifiedQueries

        if not (number.isascii() and number.isdigit()):
            raise InputError("Which one?", "Give its number: \\verified shows it.")
        kept = VerifiedQueries(self._kept.database)
        if int(number) not in {one.id for one in kept.listed(self._source.name)}:
            raise InputError(f"{self._source.name} has no verified query {number}.", "\\verified lists them.")
        err(f"Forgotten: {safe(kept.delete(int(number)).question)}")

    async def _answered(self, question: str) -> SQLAnalystResult:
        from ..tools.chat import ask, named
        from ..tools.rag import Asking
        from ..tools.sql.pipeline import SQLAnalystPipeline
        from ..tools.sql.verified import VerifiedQueries

        models = await self._kept.models()
        name = await named(models, "")
        kit = Asking(lambda config: ask(models, config, ToolContext(), name))
        async with SQLAnalystPipeline(kit, examples=VerifiedQueries(self._kept.database).examples) as pipeline:
            return await pipeline.arun(question, source=self._source)

    def _last(self) -> QueryResult:
        if self._result is None:
            raise InputError("There is no result yet.", "Run a query first: SELECT …;")
        return self._result


def drawing(result: QueryResult, wanted: str | Mapping[str, Any]) -> str:
    """A chart of a result as text.

    :param wanted: `auto`, a type of chart, or the fields of a `ChartSpec`.
    :raises InputError: there is no such chart, or none that would say more than the rows.
    """
    from ..tools.sql.charts import ChartSpec, as_spec, choose
    from ..tools.sql.charts.terminal import sketch

    fields = {"chart_type": wanted} if isinstance(wanted, str) else wanted
    spec: ChartSpec | None = choose(result) if wanted == "auto" else as_spec(fields)
    if spec is None:
        raise InputError("No chart would say more than these rows.", "Name one to have it drawn anyway: \\chart bar")
    return safe_lines(sketch(result, spec, width()))


def ends(text: str, dialect: str) -> bool:
    """Whether a query is whole: a semicolon ends it that is in no text, name or comment."""
    rest = (_BACKSLASH if dialect == "mysql" else _PLAIN).sub("", text)
    return rest.rstrip().endswith(";") and not re.search(r"['\"`]|/\*", rest)


def width() -> int:
    """Columns of the terminal."""
    return max(40, shutil.get_terminal_size().columns)


def _print(text: str) -> None:
    out(safe_lines(text))


@contextmanager
def _remembered(file: Path) -> Generator[None]:
    """What was typed before, to go back to with the arrow keys, and kept for the next time; Windows has none."""
    try:
        import readline
    except ImportError:
        yield
        return
    with suppress(OSError):  # a folder nobody may write to: then nothing is remembered
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        file.chmod(0o600)
        readline.read_history_file(file)
    readline.set_history_length(HISTORY)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(file)
