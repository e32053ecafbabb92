"""`racto config`: every setting, its value and where it came from."""

from __future__ import annotations

import argparse
from typing import Any

from ..console import out, out_json, styled
from ..settings import Loaded, config_file, masked
from . import flags

EXAMPLES = """\
  racto config              a table
  racto config --json       the same as data
  RACTO_PORT=9000 racto config"""


WIDEST = 60
"""Columns kept free for a value; a longer one moves its own source only."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("--json", action="store_true", help="print data instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the settings; a secret shows only that it is set."""
    loaded = flags.loaded(arguments)
    values = {name: _clean(value) for name, value in loaded.settings.model_dump(mode="json").items()}
    if arguments.json:
        out_json({name: {"value": value, "source": loaded.sources[name]} for name, value in values.items()})
        return 0
    _table(loaded, {name: _shown(value) for name, value in values.items()})
    return 0


def _table(loaded: Loaded, values: dict[str, str]) -> None:
    names, widest = max(map(len, values)), min(WIDEST, max(map(len, values.values())))
    for name, value in values.items():
        source = loaded.sources[name]
        out(
            f"{styled(f'{name:<{names}}', 'bold')}  {value:<{widest}}  {styled(source, 'dim' if source == 'default' else 'cyan')}"
        )
    file = config_file()
    out(f"\nconfig file: {file}{'' if file.exists() else ' (there is none)'}")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    return [_clean(each) for each in value] if isinstance(value, list) else value


def _shown(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{name}={_address(each) if isinstance(each, dict) else each}" for name, each in value.items()]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {None: "none", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)


def _address(database: dict[str, Any]) -> str:
    """Where a database is; `--json` shows the rest of its settings."""
    return str(database["url"] or ", ".join(database["files"].values()))
