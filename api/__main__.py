"""`python -m racto`: the command line, where the command `racto` is not on the path."""

from __future__ import annotations

import sys

from racto.server.cli import main

sys.exit(main())
