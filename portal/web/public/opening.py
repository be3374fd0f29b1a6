"""Opening hours in words, in the reader's language and the pharmacy's zone."""

from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton, format_time

from portal.core import texts
from portal.pharmacies.hours import DAYS, OpeningHours, Week


@dataclass(frozen=True)
class Day:
    """One line of the table of hours."""

    name: str
    hours: str
    today: bool


def line(hours: OpeningHours, at: datetime, *, language: str) -> str:
    """Whether a pharmacy is open at `at` and when that changes, as one short sentence."""
    open_now = hours.is_open(at)
    if open_now is None:
        return texts.get("hours.unknown", language)
    if hours.always:
        return texts.get("hours.always", language)
    if open_now:
        until = hours.open_until(at)
        if until is None:
            return texts.get("hours.open", language)
        return texts.get("hours.open-until", language, time=clock_time(until, hours.time_zone, language))
    opens = hours.next_open(at)
    if opens is None:
        return texts.get("hours.closed", language)
    return texts.get(
        "hours.closed-until",
        language,
        day=day_word(opens, at, hours.time_zone, language),
        time=clock_time(opens, hours.time_zone, language),
    )


def clock_time(moment: datetime, zone: str, language: str) -> str:
    """A time of day as people of the language write it."""
    return format_time(moment.astimezone(ZoneInfo(zone)), "short", locale=language)


def day_word(moment: datetime, at: datetime, zone: str, language: str) -> str:
    """Today, tomorrow, the weekday within six days, else the date."""
    day, now = (one.astimezone(ZoneInfo(zone)).date() for one in (moment, at))
    ahead = (day - now).days
    if ahead in (0, 1):
        return texts.get(("hours.today", "hours.tomorrow")[ahead], language)
    return (
        format_date(day, "EEEE", locale=language) if ahead < 7 else format_skeleton("MMMMEEEEd", day, locale=language)
    )


def table(hours: OpeningHours, at: datetime, *, language: str) -> list[Day]:
    """The hours of each weekday, Monday first; empty while they are unknown."""
    if hours.week is None:
        return []
    today = DAYS[at.astimezone(ZoneInfo(hours.time_zone)).weekday()]
    return [
        Day(texts.get(f"hours.{day}", language), spans(hours.week, day, language), today=day == today) for day in DAYS
    ]


def holidays(days: dict[date, str], at: datetime, zone: str, *, language: str) -> list[tuple[str, str]]:
    """The closed days from today on, with their names."""
    today = at.astimezone(ZoneInfo(zone)).date()
    return [(format_date(day, "full", locale=language), name) for day, name in sorted(days.items()) if day >= today]


def spans(week: Week, day: str, language: str) -> str:
    """One day's hours as a phrase."""
    said = [
        texts.get("hours.all-day", language)
        if (start, end) == ("00:00", "24:00")
        else texts.get("hours.span", language, start=_wall(start, language), end=_wall(end, language))
        for start, end in week.get(day, [])
    ]
    return ", ".join(said) or texts.get("hours.day-closed", language)


def _wall(text: str, language: str) -> str:
    hour, minute = int(text[:2]) % 24, int(text[3:])
    return format_time(time(hour, minute), "short", locale=language)
