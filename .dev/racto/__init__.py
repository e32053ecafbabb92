from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2])]

from racto.api import *  # noqa: E402, F403
from racto.api import __all__, __dir__, __getattr__  # noqa: E402, F401
