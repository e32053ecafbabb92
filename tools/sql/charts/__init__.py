"""Charts of query results: which one a result asks for, and drawing it, offline and without a model.

`plots.py` turns a result and a `ChartSpec` into marks, once; `vega.py` and `pictures.py` (PNG, SVG), `plotly.py` (Python) and `terminal.py`
show those same marks. `view.py` is the page that hosts with MCP Apps show beside an answer.
"""

from .choosing import choose
from .pictures import Drawn, drawn, picture
from .spec import CHART_TYPES, ChartSpec, as_spec

__all__ = ["CHART_TYPES", "ChartSpec", "Drawn", "as_spec", "choose", "drawn", "picture"]
