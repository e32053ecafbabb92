"""The log: stderr only, because on stdio everything on stdout is protocol."""

from __future__ import annotations

import logging
import sys

from .secrets import ScrubbingFormatter, own


def configure(level: str) -> None:
    """Send the log to stderr, without any key. What libraries have to say below a warning is only shown when debugging.

    :param level: `debug`, `info`, `warning` or `error`.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    libraries = number if number == logging.DEBUG else max(number, logging.WARNING)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ScrubbingFormatter(own(), logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    )
    logging.basicConfig(level=libraries, handlers=[handler], force=True)
    logging.getLogger("racto").setLevel(number)
