"""Run every benchmark, one after the other, each in a process of its own. `--quick` is handed on."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("prompts", "transport", "pages", "gateway", "readers", "chunking", "embedding", "vectors", "retrieval", "sql")

if __name__ == "__main__":
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
