"""A figure with its target, as JSON shows it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """`value` in `unit`; `least` or `most` is the target it is held against, None where there is none.

    `rounds` are the values it is the median of, in the order they were measured.
    """

    name: str
    value: float | None
    unit: str
    least: float | None = None
    most: float | None = None
    rounds: tuple[float, ...] = ()
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None without a target or a value."""
        if self.value is None or (self.least is None and self.most is None):
            return None
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def to_json(self) -> dict[str, Any]:
        """For the report: rounded, and without what is empty."""
        shown = {name: _rounded(value) for name, value in asdict(self).items() if value not in (None, "", ())}
        return {**shown, "holds": self.holds} if self.holds is not None else shown


def median_of(
    name: str,
    rounds: Sequence[float],
    unit: str,
    *,
    least: float | None = None,
    most: float | None = None,
    note: str = "",
) -> Figure:
    """The median of some rounds."""
    return Figure(name, statistics.median(rounds), unit, least, most, tuple(rounds), note)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, tuple | list):
        return [_rounded(one) for one in value]
    return value
