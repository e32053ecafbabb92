"""`racto` as it is in a checkout: the rooms lie beside each other at the top, `api/` gives the names."""

import os.path

TYPE_CHECKING = False

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
__path__ = [_TOP, os.path.join(_TOP, "api")]

from racto.api import __all__, __dir__, __getattr__, __version__

if TYPE_CHECKING:
    from racto.api import *
