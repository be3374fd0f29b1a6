"""Opening hours in words, in two languages, around closing time, weekends and holidays."""

from datetime import UTC, date, datetime

import pytest

from portal.pharmacies.hours import OpeningHours
from portal.web.public import opening

WEEK = {day: [["08:00", "19:00"]] for day in ("mon", "tue", "wed", "thu", "fri")} | {"sat": [["09:00", "14:00"]]}
RIVERSIDE = OpeningHours(WEEK, "America/Chicago", frozenset({date(2026, 11, 26)}))


def said(at: datetime, language: str = "en") -> str:
    return opening.line(RIVERSIDE, at, language=language).replace("\u202f", " ")


@pytest.mark.parametrize(
    ("at", "english", "spanish"),
    [
        (datetime(2026, 11, 24, 15, 0, tzinfo=UTC), "Open until 7:00 PM", "Abierto hasta las 19:00"),
        (datetime(2026, 11, 24, 9, 0, tzinfo=UTC), "Closed. Opens today at 8:00 AM", "Cerrado. Abre hoy a las 8:00"),
        (
            datetime(2026, 11, 25, 3, 0, tzinfo=UTC),
            "Closed. Opens tomorrow at 8:00 AM",
            "Cerrado. Abre mañana a las 8:00",
        ),
        # The day after is a holiday, so the day after that is named.
        (
            datetime(2026, 11, 26, 3, 0, tzinfo=UTC),
            "Closed. Opens Friday at 8:00 AM",
            "Cerrado. Abre viernes a las 8:00",
        ),
        (
            datetime(2026, 11, 28, 21, 0, tzinfo=UTC),
            "Closed. Opens Monday at 8:00 AM",
            "Cerrado. Abre lunes a las 8:00",
        ),
    ],
)
def test_the_line_says_whether_and_until_when(at: datetime, english: str, spanish: str) -> None:
    assert said(at) == english
    assert said(at, "es") == spanish


def test_unknown_hours_are_not_called_closed() -> None:
    unknown = OpeningHours(None, "America/Chicago")
    assert opening.line(unknown, datetime(2026, 11, 24, tzinfo=UTC), language="en") == "Hours not set yet. Please call."
    assert opening.table(unknown, datetime(2026, 11, 24, tzinfo=UTC), language="en") == []


def test_the_table_has_each_day_and_marks_today() -> None:
    days = opening.table(RIVERSIDE, datetime(2026, 11, 24, 15, tzinfo=UTC), language="en")
    assert [day.name for day in days if day.today] == ["Tuesday"]
    assert days[6].hours == "Closed"


def test_only_holidays_to_come_are_listed() -> None:
    days = {date(2026, 11, 26): "Thanksgiving", date(2026, 1, 1): "New Year"}
    at = datetime(2026, 11, 24, 15, tzinfo=UTC)
    assert opening.holidays(days, at, "America/Chicago", language="es") == [
        ("jueves, 26 de noviembre de 2026", "Thanksgiving")
    ]
