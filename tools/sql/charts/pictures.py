"""A chart as a picture, drawn offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ....knowledge.errors import ConfigError
from .choosing import choose
from .plots import plot
from .spec import ChartSpec, as_spec
from .vega import drawing

if TYPE_CHECKING:
    from ..results import QueryResult
    from .data import Plot


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart that was drawn.

    :param png: The picture, about 1,150 pixels wide: as sharp as hosts show and models see, and no more.
    :param alt: What it shows, in words.
    :param notes: What was added up, averaged, sampled or dropped; they stand in the picture too.
    """

    spec: ChartSpec
    png: bytes
    alt: str
    notes: list[str]


def drawn(result: QueryResult, spec: ChartSpec | Mapping[str, Any] | Literal["auto"] | None) -> Drawn | None:
    """The chart that was asked for.

    :param spec: `auto` for the one that `choose` finds, `None` for none.
    :returns: `None` when none was asked for, or none says more than the rows do.
    :raises ConfigError: the library that draws is not installed.
    :raises UnknownNameError: the result has no such column.
    :raises InputError: it is no spec, or these columns cannot be drawn that way.
    """
    wanted = choose(result) if spec == "auto" else None if spec is None else as_spec(spec)
    if wanted is None:
        return None
    made = plot(result, wanted)
    return Drawn(wanted, _picture(made, "png", 1.5), made.alt, made.notes)


def picture(
    result: QueryResult,
    spec: ChartSpec,
    format: Literal["png", "svg"] = "png",  # noqa: A002  # what every library calls it
    scale: float = 2.0,
) -> bytes:
    """A chart of a result as an image file.

    :param scale: Pixels of a PNG for each point; an SVG has no pixels.
    :raises ConfigError: the library that draws is not installed.
    :raises UnknownNameError: the result has no such column.
    :raises InputError: these columns cannot be drawn that way.
    """
    return _picture(plot(result, spec), format, scale)


def _picture(made: Plot, kind: Literal["png", "svg"], scale: float) -> bytes:
    try:
        import vl_convert
    except ImportError:
        raise ConfigError(
            "Charts need the package vl-convert-python.", "Install it: pip install 'racto[sql]'"
        ) from None
    # No base URL is allowed: whatever the specification says, nothing is fetched.
    if kind == "svg":
        return vl_convert.vegalite_to_svg(drawing(made), allowed_base_urls=[]).encode()
    return vl_convert.vegalite_to_png(drawing(made), scale=scale, allowed_base_urls=[])
