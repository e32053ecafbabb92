"""The log: stderr only, because on stdio everything on stdout is protocol."""

from __future__ import annotations

import logging
import sys


def configure(level: str) -> None:
    """Send the log to stderr. What libraries have to say below a warning is only shown when debugging.

    :param level: `debug`, `info`, `warning` or `error`.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    libraries = number if number == logging.DEBUG else max(number, logging.WARNING)
    logging.basicConfig(
        stream=sys.stderr,
        level=libraries,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    logging.getLogger("racto").setLevel(number)
