"""What a person sees: results on stdout, everything else on stderr, colour only on a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def out(text: str = "") -> None:
    """One line, or several, of the result."""
    sys.stdout.write(text + "\n")


def err(text: str) -> None:
    """One line, or several, beside the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def out_json(value: object) -> None:
    """The result as JSON, with escapes only where the stream cannot say it otherwise."""
    unicode = sys.stdout.encoding.lower().replace("-", "").startswith("utf")
    out(json.dumps(value, indent=2, ensure_ascii=not unicode))


def refuse(message: str, hint: str) -> None:
    """Why something was not done, and what to do about it."""
    err("\n  → ".join(filter(None, (f"racto: {message}", hint))))


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style (bold, dim, red, green, yellow, cyan) when the stream (stdout unless said) is a terminal that shows it."""
    shown = (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{_CODES[style]}m{text}\033[0m" if shown else text


class Bar:
    """How far something is, drawn on stderr when that is a terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def draw(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Show the state of the work; without a total there is only a count."""
        if not self._shown:
            return
        if total:
            full = round(20 * min(done / total, 1))
            shape = f"{styled('━' * full, 'green', sys.stderr)}{'─' * (20 - full)} {done:g}/{total:g}"
        else:
            shape = f"{done:g}"
        room = max(10, shutil.get_terminal_size().columns - 40)
        sys.stderr.write(f"\r\033[K{shape} {(message or '')[:room]}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Wipe it."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
