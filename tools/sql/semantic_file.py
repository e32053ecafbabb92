"""The semantic layer of a database as a YAML file.

    description: Orders of the web shop.
    tables:
      orders:
        description: One row for each order.
        synonyms: [purchases]
        columns:
          status: {description: Where it is, values: {new: just placed, paid: money has come}}
    metrics:
      - {name: revenue, sql: "SELECT sum(total) FROM orders WHERE status <> 'cancelled'", synonyms: [turnover]}
    joins:
      - {left: orders, right: customers, on: orders.customer_id = customers.id}
    questions:
      - {question: How many orders are there?, sql: SELECT count(*) FROM orders}

Every value is text: `no`, `on` and `2024` mean what they say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...knowledge.errors import ConfigError
from .semantics import ColumnMeaning, Join, Metric, Question, Semantics, TableMeaning, nearest

if TYPE_CHECKING:
    import yaml

LARGEST = 1 << 20
"""Bytes of a file; 1,000 tables with ten described columns each are half of it."""

_DEEPEST = 8  # levels; five are used


def read(path: Path | str) -> Semantics:
    """The semantic layer in a file.

    :raises ConfigError: there is no such file, it is too large, or something in it is wrong.
    """
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.", "Name a YAML file.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8.", "Save it as UTF-8.") from None
    return parse(text, str(file))


def parse(text: str, where: str = "The semantic layer") -> Semantics:
    """The semantic layer in a text.

    :param where: What it is called in messages.
    :raises ConfigError: it is too large, or something in it is wrong; the message says what and where.
    """
    if len(text.encode()) > LARGEST:
        raise ConfigError(f"{where} is larger than {LARGEST >> 20} MiB.", "Describe less.")
    whole = _Part(_loaded(text, where), where)
    top = whole.fields("description", "tables", "metrics", "joins", "questions")
    return Semantics(
        description=top["description"].text(),
        tables={name.lower(): _table(part) for name, part in top["tables"].named().items()},
        metrics=tuple(
            Metric(
                fields["name"].text(needed=True),
                fields["sql"].text(needed=True),
                fields["description"].text(),
                fields["synonyms"].texts(),
            )
            for part in top["metrics"].items()
            for fields in [part.fields("name", "sql", "description", "synonyms")]
        ),
        joins=tuple(
            Join(*(fields[name].text(needed=name != "description") for name in ("left", "right", "on", "description")))
            for part in top["joins"].items()
            for fields in [part.fields("left", "right", "on", "description")]
        ),
        questions=tuple(
            Question(*(fields[name].text(needed=name != "note") for name in ("question", "sql", "note")))
            for part in top["questions"].items()
            for fields in [part.fields("question", "sql", "note")]
        ),
    )


def _table(part: _Part) -> TableMeaning:
    fields = part.fields("description", "synonyms", "columns")
    columns = {}
    for name, column in fields["columns"].named().items():
        said = column.fields("description", "synonyms", "values")
        columns[name.lower()] = ColumnMeaning(
            said["description"].text(), said["synonyms"].texts(), said["values"].meanings()
        )
    return TableMeaning(fields["description"].text(), fields["synonyms"].texts(), columns)


@dataclass(frozen=True)
class _Part:
    """A part of a file.

    :param path: Where it stands there: `tables.orders`, `metrics[0]`; empty for the whole.
    """

    value: Any
    file: str
    path: str = ""

    def fields(self, *known: str) -> dict[str, _Part]:
        held = self.named()
        for name in held:
            if name not in known:
                raise ConfigError(
                    f"{self._place()} has no {name!r}.", nearest(name, known) or f"Known: {', '.join(known)}."
                )
        return {name: held.get(name, _Part("", self.file, self._inside(name))) for name in known}

    def named(self) -> dict[str, _Part]:
        if self.value == "":
            return {}
        if not isinstance(self.value, dict):
            raise self._wrong("names with what belongs to them (`name: …`)")
        return {name: _Part(value, self.file, self._inside(name)) for name, value in self.value.items()}

    def items(self) -> list[_Part]:
        if self.value == "":
            return []
        if not isinstance(self.value, list):
            raise self._wrong("a list (`- …`)")
        return [_Part(value, self.file, f"{self.path}[{place}]") for place, value in enumerate(self.value)]

    def text(self, *, needed: bool = False) -> str:
        if not isinstance(self.value, str):
            raise self._wrong("text")
        if needed and not self.value.strip():
            raise ConfigError(f"{self._place()} is missing.", "Add it, or take out what it belongs to.")
        return self.value.strip()

    def texts(self) -> tuple[str, ...]:
        return tuple(part.text(needed=True) for part in self.items())

    def meanings(self) -> dict[str, str]:
        """A list of values, or values with what they stand for."""
        if isinstance(self.value, list):
            return dict.fromkeys(self.texts(), "")
        return {name: part.text() for name, part in self.named().items()}

    def _inside(self, name: str) -> str:
        return f"{self.path}.{name}".removeprefix(".")

    def _place(self) -> str:
        return f"{self.file}: {self.path}" if self.path else self.file

    def _wrong(self, wanted: str) -> ConfigError:
        kind = "names" if isinstance(self.value, dict) else "a list" if isinstance(self.value, list) else "text"
        return ConfigError(f"{self._place()} should be {wanted}, not {kind}.", "docs/sql.md shows a file.")


def _loaded(text: str, where: str) -> Any:
    """The text as mappings, lists and strings; what YAML can do besides is refused."""
    try:
        import yaml  # 15 ms, and most databases have no such file
    except ImportError:
        raise ConfigError("PyYAML is not installed.", "Install it: pip install 'racto[sql]'.") from None
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        _check_events(yaml.parse(text, Loader=loader))
        node = yaml.compose(text, Loader=loader)
        return "" if node is None else _made(node)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}.", "Correct it.") from None


def _check_events(events: Iterable[yaml.Event]) -> None:
    """Refuse what could make a small file a large one or a deep one, before anything is made of it."""
    import yaml

    depth = 0
    for event in events:
        if getattr(event, "anchor", None) is not None:
            raise yaml.YAMLError(f"an anchor or alias, {_line(event)}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.YAMLError(f"too many levels, {_line(event)}")


def _made(node: yaml.Node) -> Any:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return [_made(item) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return node.value
    made: dict[str, Any] = {}
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.YAMLError(f"a name that is none, {_line(key)}")
        if key.value.lower() in seen:
            raise yaml.YAMLError(f"{key.value!r} twice, {_line(key)}")
        seen.add(key.value.lower())
        made[key.value] = _made(value)
    return made


def _line(place: Any) -> str:
    return f"on line {place.start_mark.line + 1}"
