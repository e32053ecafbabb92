"""What a person sees: results on stdout, everything else on stderr, colour only on a terminal."""

from __future__ import annotations

import os
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


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a style (bold, dim, red, green, yellow, cyan) when the stream (stdout unless said) is a terminal that shows it."""
    shown = (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{_CODES[style]}m{text}\033[0m" if shown else text
