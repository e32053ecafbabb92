"""What a chart is asked to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ....knowledge.errors import InputError

ChartType = Literal["bar", "line", "scatter", "pie", "histogram", "box", "area", "heatmap", "violin", "funnel"]

CHART_TYPES: tuple[ChartType, ...] = get_args(ChartType)


class ChartSpec(BaseModel):
    """A chart of a result: which columns, and how. What is left out is filled in from the types of the columns.

    :param chart_type: One of `CHART_TYPES`.
    :param x: Column along the x axis; of a pie or funnel the names, of a histogram the values.
    :param y: Column or columns of numbers; none counts rows, where the type of chart allows it.
    :param color: Column that tells series apart; of a heatmap the number in each cell.
    :param title: Above the chart; made from the columns when empty.
    :param x_label: Instead of the name of `x`.
    :param y_label: Instead of the name of `y`.
    :param orientation: `h` for bars, boxes and violins that lie; as it reads best when left out.
    """

    model_config = ConfigDict(extra="forbid")

    chart_type: str
    x: str | None = None
    y: str | list[str] | None = None
    color: str | None = None
    title: str = ""
    x_label: str | None = None
    y_label: str | None = None
    orientation: Literal["v", "h"] | None = None

    @field_validator("chart_type")
    @classmethod
    def _known(cls, value: str) -> str:
        name = value.strip().lower()
        if name not in CHART_TYPES:
            raise ValueError(f"there is no chart type {value[:40]!r}; the types are {', '.join(CHART_TYPES)}")
        return name


def as_spec(value: ChartSpec | Mapping[str, Any]) -> ChartSpec:
    """A spec from what a caller or a model sent.

    :raises InputError: it is none; the message names the field.
    """
    if isinstance(value, ChartSpec):
        return value
    try:
        return ChartSpec.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"The chart cannot be drawn: {place}: {first['msg'].removeprefix('Value error, ')}.",
            f"Fields: {', '.join(ChartSpec.model_fields)}; chart_type is one of {', '.join(CHART_TYPES)}.",
        ) from None
