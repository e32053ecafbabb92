"""How long a chart takes to become a picture: every type, of a dozen and of ten thousand real rows."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from contextlib import closing

from racto.tools.sql.charts import CHART_TYPES, ChartSpec, picture
from racto.tools.sql.engines import Target
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.workers import Connection

from tests import sql_shop

PAYMENTS = """
SELECT p.payment_date AS day, c.name AS category, f.rating AS rating, p.amount AS amount, f.length AS length
FROM payment p JOIN rental r ON r.rental_id = p.rental_id JOIN inventory i ON i.inventory_id = r.inventory_id
JOIN film f ON f.film_id = i.film_id JOIN film_category fc ON fc.film_id = f.film_id JOIN category c ON c.category_id = fc.category_id
"""
DOZEN = f"SELECT min(day) AS day, category, min(rating) AS rating, sum(amount) AS amount, avg(length) AS length FROM ({PAYMENTS}) GROUP BY category LIMIT 12"
SIZES = {12: DOZEN, 10_000: f"{PAYMENTS} LIMIT 10000"}
COLUMNS: dict[str, dict[str, str]] = {
    "line": {"x": "day", "y": "amount"},
    "area": {"x": "day", "y": "amount"},
    "scatter": {"x": "length", "y": "amount", "color": "rating"},
    "histogram": {"x": "length"},
    "heatmap": {"x": "rating", "y": "category", "color": "amount"},
}
COLD = """
import time
began = time.perf_counter()
from racto.tools.sql.charts import ChartSpec, picture
from racto.tools.sql.results import QueryResult, ResultColumn
rows = QueryResult([ResultColumn("country"), ResultColumn("total")], [(f"Country {n}", n * n) for n in range(12)])
picture(rows, ChartSpec(chart_type="bar"), "png", 1.5)
print((time.perf_counter() - began) * 1e3)
"""


def pictures(repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a PNG by type and rows, at the median, as `sql_query` draws it."""
    found: dict[str, dict[str, float]] = {kind: {} for kind in CHART_TYPES}
    path = sql_shop.DATA / "sakila" / "sakila.sqlite"
    with closing(Connection(Target("sqlite", str(path)), Policy())) as connection:
        results = {count: connection.run(sql, Limits()) for count, sql in SIZES.items()}
    for count, result in results.items():
        assert len(result.rows) == count
        for kind in CHART_TYPES:
            spec = ChartSpec.model_validate({"chart_type": kind, **COLUMNS.get(kind, {"x": "category", "y": "amount"})})
            times = []
            for _ in range(repeats + 1):
                began = time.perf_counter()
                picture(result, spec, "png", 1.5)
                times.append((time.perf_counter() - began) * 1e3)
            found[kind][str(count)] = statistics.median(times[1:])
    return found


def first_picture(repeats: int) -> float:
    """Milliseconds until a new process has drawn its first, with the imports."""
    command = [sys.executable, "-c", COLD]
    times = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(repeats)]
    return statistics.median(times)
