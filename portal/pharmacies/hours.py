"""When a pharmacy reads messages: opening hours and holidays in its own time zone, right also when clocks change.

A day's hours are wall-clock times, as on the pharmacy's door: the pharmacy is open at a moment when its wall clock
then shows a time inside one of the day's spans. The hour that is skipped in spring is never shown, the hour that
comes twice in autumn counts twice.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal.core.errors import BadInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A pharmacy that opens only after more than this many days says so by phone.
HORIZON_DAYS = 45
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")

Week = Mapping[str, list[list[str]]]


@dataclass(frozen=True)
class OpeningHours:
    """Hours of one pharmacy. `week` is None while nobody has set them: then nothing is said about being open."""

    week: Week | None
    time_zone: str
    holidays: frozenset[date] = frozenset()

    def is_open(self, at: datetime) -> bool | None:
        """Whether the pharmacy is at work at `at`; None when its hours are unknown."""
        return None if self.week is None else self._open(at)

    def next_open(self, at: datetime) -> datetime | None:
        """The first moment from `at` on at which the pharmacy is at work: `at` itself while it is open.

        None when hours are unknown or it does not open within 45 days. In UTC, whole minutes but for `at` itself.
        """
        return self._first(at, wanted=True)

    def open_until(self, at: datetime) -> datetime | None:
        """The first moment after `at` at which it is closed again; None when closed, unknown or open throughout."""
        return self._first(at, wanted=False) if self.is_open(at) else None

    def nobody_reads_before(self, at: datetime) -> datetime | None:
        """The moment a message written at `at` is read at the earliest; None when at work now, or not known."""
        return None if self.is_open(at) is not False else self.next_open(at)

    @property
    def always(self) -> bool:
        """Open day and night, every day of the year."""
        return (
            self.week is not None and not self.holidays and all(_minutes(self.week, day) == [(0, 1440)] for day in DAYS)
        )

    def _open(self, at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(self.time_zone))
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self._spans(local.date()))

    def _spans(self, day: date) -> list[tuple[int, int]]:
        return [] if day in self.holidays or self.week is None else _minutes(self.week, DAYS[day.weekday()])

    def _first(self, at: datetime, *, wanted: bool) -> datetime | None:
        if self.week is None:
            return None
        if self._open(at) is wanted:
            return at
        return next((moment for moment in self._edges(at) if moment > at and self._open(moment) is wanted), None)

    def _edges(self, at: datetime) -> Iterator[datetime]:
        # Being open can change only at a span's edge, at midnight, or where the zone's clock jumps.
        zone = ZoneInfo(self.time_zone)
        today = at.astimezone(zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(HORIZON_DAYS + 1)):
            minutes = {0, 1440} | {edge for span in self._spans(day) for edge in span}
            moments = {moment for minute in minutes for moment in _instants(day, minute, zone)}
            yield from sorted(moments | set(_jumps(day, zone)))


def parse_week(value: object) -> dict[str, list[list[str]]] | None:
    """Hours as given by a person or file, checked: known days, times "HH:MM" to "24:00", in order, not overlapping.

    A night that goes past midnight is written as two spans. Days left out are closed. Raises BadInput.
    """
    if value is None:
        return None
    if not isinstance(value, dict) or not set(value) <= set(DAYS):
        raise BadInput("hours")
    week: dict[str, list[list[str]]] = {}
    for day, spans in value.items():
        if not isinstance(spans, list) or not all(_is_span(span) for span in spans):
            raise BadInput("hours", extra={"field": day})
        edges = [_minute(edge) for span in spans for edge in span]
        if edges != sorted(set(edges)):
            raise BadInput("hours", extra={"field": day})
        week[day] = spans
    return week


def check_zone(name: str) -> str:
    """The name of a time zone, when it is one. Raises BadInput."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise BadInput("time-zone") from problem
    return name


def _is_span(span: object) -> bool:
    return (
        isinstance(span, list)
        and len(span) == 2
        and all(isinstance(edge, str) and _TIME.fullmatch(edge) for edge in span)
    )


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _minutes(week: Week, day: str) -> list[tuple[int, int]]:
    return [(_minute(start), _minute(end)) for start, end in week.get(day, [])]


def _instants(day: date, minute: int, zone: ZoneInfo) -> Iterable[datetime]:
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minute)
    return (wall.replace(fold=0).astimezone(UTC), wall.replace(fold=1).astimezone(UTC))


def _jumps(day: date, zone: ZoneInfo) -> Iterator[datetime]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    low, high = midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC)
    if low.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset():
        return
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
            low = middle
        else:
            high = middle
    yield high.replace(microsecond=0)
