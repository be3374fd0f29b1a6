"""Opening hours: an ordinary week, holidays, nights, and the two days a year when clocks jump."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import ALWAYS, WEEKDAYS

from portal.core.errors import BadInput
from portal.pharmacies.hours import DAYS, HORIZON_DAYS, OpeningHours, check_zone, parse_week

CHICAGO = ZoneInfo("America/Chicago")
RIVERSIDE = OpeningHours(WEEKDAYS, "America/Chicago")


def chicago(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=CHICAGO, fold=fold).astimezone(UTC)


def test_on_a_tuesday_morning_riverside_is_at_work_until_seven() -> None:
    at = chicago(2026, 11, 24, 9, 0)
    assert RIVERSIDE.is_open(at) is True
    assert RIVERSIDE.next_open(at) == at
    assert RIVERSIDE.open_until(at) == chicago(2026, 11, 24, 19, 0)
    assert RIVERSIDE.nobody_reads_before(at) is None


def test_a_message_at_three_in_the_night_is_read_at_eight() -> None:
    at = chicago(2026, 11, 24, 3, 0)
    assert RIVERSIDE.is_open(at) is False
    assert RIVERSIDE.nobody_reads_before(at) == chicago(2026, 11, 24, 8, 0)
    assert RIVERSIDE.open_until(at) is None


def test_the_edges_of_a_day() -> None:
    assert RIVERSIDE.is_open(chicago(2026, 11, 24, 8, 0)) is True
    assert RIVERSIDE.is_open(chicago(2026, 11, 24, 18, 59, 59)) is True
    assert RIVERSIDE.is_open(chicago(2026, 11, 24, 19, 0)) is False


def test_from_saturday_afternoon_to_monday_and_over_a_holiday() -> None:
    at = chicago(2026, 11, 28, 15, 0)
    assert RIVERSIDE.next_open(at) == chicago(2026, 11, 30, 8, 0)
    closed_monday = OpeningHours(WEEKDAYS, "America/Chicago", frozenset({date(2026, 11, 30)}))
    assert closed_monday.next_open(at) == chicago(2026, 12, 1, 8, 0)
    assert closed_monday.is_open(chicago(2026, 11, 30, 10, 0)) is False


def test_harbor_never_closes() -> None:
    harbor = OpeningHours(ALWAYS, "America/New_York")
    at = chicago(2026, 11, 28, 3, 0)
    assert harbor.always
    assert harbor.is_open(at) is True
    assert harbor.open_until(at) is None
    assert harbor.nobody_reads_before(at) is None
    assert not RIVERSIDE.always


def test_newtown_has_no_hours_yet_so_nothing_is_said() -> None:
    newtown = OpeningHours(None, "America/Chicago")
    at = chicago(2026, 11, 24, 9, 0)
    assert newtown.is_open(at) is None
    assert newtown.next_open(at) is newtown.open_until(at) is newtown.nobody_reads_before(at) is None


def test_a_pharmacy_that_is_closed_for_good_names_no_day() -> None:
    assert OpeningHours({}, "America/Chicago").next_open(chicago(2026, 11, 24, 9, 0)) is None


def test_a_night_is_two_spans_and_stays_open_at_midnight() -> None:
    night = OpeningHours({"fri": [["20:00", "24:00"]], "sat": [["00:00", "02:00"]]}, "America/Chicago")
    assert night.open_until(chicago(2026, 11, 27, 21, 0)) == chicago(2026, 11, 28, 2, 0)


def test_in_spring_the_skipped_hour_opens_at_the_jump() -> None:
    early = OpeningHours({"sun": [["02:30", "06:00"]]}, "America/Chicago")
    at = chicago(2026, 3, 8, 1, 0)
    assert early.next_open(at) == chicago(2026, 3, 8, 3, 0) == at + timedelta(hours=1)


def test_in_autumn_the_hour_that_comes_twice_counts_twice() -> None:
    early = OpeningHours({"sun": [["01:00", "01:30"]]}, "America/Chicago")
    between = chicago(2026, 11, 1, 1, 45, fold=0)
    assert early.is_open(between) is False
    assert early.next_open(between) == chicago(2026, 11, 1, 1, 0, fold=1)
    assert early.is_open(chicago(2026, 11, 1, 1, 10, fold=1)) is True


MINUTES = st.integers(0, 1440)
SPANS = st.lists(MINUTES, max_size=4, unique=True).map(sorted).map(lambda edges: edges[: len(edges) // 2 * 2])
ZONES = ("America/Chicago", "Europe/Madrid", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "UTC")


def _text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


WEEKS = st.fixed_dictionaries({}, optional=dict.fromkeys(DAYS, SPANS)).map(
    lambda week: {
        day: [[_text(start), _text(end)] for start, end in zip(edges[::2], edges[1::2], strict=True)]
        for day, edges in week.items()
    }
)
MOMENTS = st.integers(1_767_225_600, 1_830_211_200).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(
    WEEKS, st.sampled_from(ZONES), MOMENTS, st.frozensets(st.dates(date(2026, 1, 1), date(2027, 12, 31)), max_size=3)
)
def test_the_next_opening_is_open_and_nothing_before_it_is(week, zone, at, holidays) -> None:
    opening = OpeningHours(parse_week(week), zone, holidays)
    found = opening.next_open(at)
    until = found or at + timedelta(days=HORIZON_DAYS - 1)
    if found is not None:
        assert found >= at
        assert opening.is_open(found)
    # Every eleven minutes is enough to meet each span of the week somewhere over the examples.
    steps = min(int((until - at) / timedelta(minutes=11)), 400)
    assert not any(opening.is_open(at + timedelta(minutes=11 * step)) for step in range(steps) if at < until)
    if found is not None and found > at:
        assert not opening.is_open(found - timedelta(seconds=1))


@given(WEEKS, st.sampled_from(ZONES), MOMENTS)
def test_it_stays_open_until_it_closes(week, zone, at) -> None:
    opening = OpeningHours(week, zone)
    closes = opening.open_until(at)
    if closes is not None:
        assert opening.is_open(at)
        assert not opening.is_open(closes)
        assert opening.is_open(closes - timedelta(seconds=1))


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"monday": []},
        {"mon": "08:00"},
        {"mon": [["08:00"]]},
        {"mon": [["8:00", "12:00"]]},
        {"mon": [["12:00", "08:00"]]},
        {"mon": [["08:00", "12:00"], ["11:00", "13:00"]]},
        {"mon": [["08:00", "08:00"]]},
        {"mon": [["20:00", "24:30"]]},
        {"mon": [["20:00", 24]]},
    ],
)
def test_hours_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(BadInput):
        parse_week(wrong)


def test_an_unknown_time_zone_is_refused() -> None:
    assert check_zone("America/Chicago") == "America/Chicago"
    for wrong in ("Mars/Olympus", "", "../etc/passwd"):
        with pytest.raises(BadInput):
            check_zone(wrong)
