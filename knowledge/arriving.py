"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import DiskFullError, RactoError, StorageError


@contextmanager
def arriving(target: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well, and goes when it does not; only its owner may read it.

    :raises StorageError: it cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
        making = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            making.replace(target)
        finally:
            making.unlink(missing_ok=True)
    except RactoError:
        raise  # some of them are OSErrors too
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "Free some space; nothing half-written was kept."
            raise DiskFullError(f"There is no room to write {target}.", hint) from None
        hint = "Give a file in a folder you can write to."
        raise StorageError(f"{target} cannot be written: {error.strerror}.", hint) from None
