"""The log: stderr only, because on stdio everything on stdout is protocol."""

from __future__ import annotations

import logging
import sys


def configure(level: str) -> None:
    """Send the log to stderr.

    :param level: `debug`, `info`, `warning` or `error`.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
