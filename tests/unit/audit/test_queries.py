"""Alice sees who looked; Heidi, the privacy officer of Riverside, searches Riverside's rows and no others."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from portal import audit
from portal.audit import Action, Agent
from portal.audit.queries import LARGEST_PAGE, Filters, Page, search, who_looked
from portal.core import clock
from portal.core.database import Database

ALICE, DAVE = "a" * 32, "d" * 32
BOB, CAROL = Agent("bob", "pharmacist"), Agent("carol", "pharmacist")


@pytest.fixture
def history(database: Database, tuesday: object) -> None:
    """Bob reads Alice's and Dave's threads by turns, Carol of Harbor is refused."""
    for number in range(6):
        with database.transaction() as session:
            audit.record(
                session,
                Action.THREAD_READ,
                agent=BOB,
                patient_id=(ALICE, DAVE)[number % 2],
                pharmacy_id="riverside",
            )
            audit.record(session, Action.RECEIPT_SENT, agent=BOB, patient_id=ALICE, pharmacy_id="riverside")
        clock.shift(timedelta(minutes=10))
    audit.record_refusal(
        database, Action.THREAD_READ, agent=CAROL, patient_id=ALICE, pharmacy_id="harbor", reason="foreign"
    )


def seen(page: Page) -> list[tuple[str | None, str]]:
    return [(row.account_id, row.outcome) for row in page.items]


@pytest.mark.usefixtures("history")
def test_alice_sees_every_look_at_her_data_newest_first_and_none_at_daves(database: Database) -> None:
    with database.reading() as session:
        page = who_looked(session, ALICE)
        assert seen(page) == [("carol", "8"), ("bob", "0"), ("bob", "0"), ("bob", "0")]
        assert page.next is None
        assert {row.patient_id for row in page.items} == {ALICE}
        assert Action.RECEIPT_SENT not in {row.action for row in page.items}
        assert who_looked(session, "nobody").items == []


@pytest.mark.usefixtures("history")
def test_pages_follow_each_other_without_gap_or_double(database: Database) -> None:
    with database.reading() as session:
        whole = [row.seq for row in who_looked(session, ALICE).items]
        pieces, before = [], None
        while True:
            page = who_looked(session, ALICE, before=before, limit=1)
            pieces += [row.seq for row in page.items]
            before = page.next
            if before is None:
                break
    assert pieces == whole


@pytest.mark.usefixtures("history")
def test_the_privacy_officer_searches_within_the_own_pharmacy(database: Database) -> None:
    with database.reading() as session:
        assert len(search(session, "riverside", Filters()).items) == 12
        assert seen(search(session, "harbor", Filters())) == [("carol", "8")]
        assert search(session, "newtown", Filters()).items == []
        assert search(session, "riverside", Filters(account_id="carol")).items == []


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(patient_id=DAVE), 3),
        (Filters(account_id="bob", actions=[Action.THREAD_READ]), 6),
        (Filters(role="technician"), 0),
        (Filters(outcome="0", patient_id=ALICE, actions=[Action.THREAD_READ]), 3),
        (Filters(refused_only=True), 0),
    ],
)
def test_filters_narrow_the_search(database: Database, filters: Filters, count: int) -> None:
    with database.reading() as session:
        assert len(search(session, "riverside", filters).items) == count


@pytest.mark.usefixtures("history")
def test_a_span_of_time_includes_its_beginning_and_not_its_end(database: Database) -> None:
    began = clock.now() - timedelta(minutes=60)
    with database.reading() as session:
        reads = [Action.THREAD_READ]
        span = Filters(since=began, until=began + timedelta(minutes=20), actions=reads)
        assert len(search(session, "riverside", span).items) == 2
        assert len(search(session, "harbor", Filters(refused_only=True)).items) == 1


@pytest.mark.usefixtures("history")
def test_a_page_is_never_larger_than_the_limit(database: Database) -> None:
    with database.reading() as session:
        assert len(search(session, "riverside", Filters(), limit=10**9).items) <= LARGEST_PAGE
        assert len(search(session, "riverside", Filters(), limit=-1).items) == 1


def listed(database: Database, agent: Agent, patient: str = ALICE) -> None:
    with database.transaction() as session:
        audit.record(session, Action.THREAD_LISTED, agent=agent, patient_id=patient, pharmacy_id="riverside")


def folded(page: Page) -> list[tuple[str | None, int, str | None, str]]:
    """Lines: who, how often, from and until (hour and minute in UTC)."""
    return [
        (row.account_id, row.count, row.since.strftime("%d %H:%M") if row.since else None, f"{row.recorded:%d %H:%M}")
        for row in page.items
    ]


@pytest.fixture
def a_week_of_lists(database: Database, tuesday: object) -> None:
    """Bob and Erin have Alice's conversation in their lists, on Tuesday evening and far into the night, and later."""
    for _ in range(6):
        for agent in (BOB, Agent("erin", "pharmacist")):
            listed(database, agent)
        listed(database, BOB, DAVE)
        clock.shift(timedelta(hours=3))
    with database.transaction() as session:
        audit.record(session, Action.THREAD_READ, agent=BOB, patient_id=ALICE, pharmacy_id="riverside")
    audit.record_refusal(database, Action.THREAD_LISTED, agent=CAROL, patient_id=ALICE, reason="foreign")
    listed(database, BOB)


@pytest.mark.usefixtures("a_week_of_lists")
def test_lists_are_one_line_for_each_day_and_person_in_the_readers_zone(database: Database) -> None:
    with database.reading() as session:
        chicago = who_looked(session, ALICE, zone=ZoneInfo("America/Chicago"))
        utc = who_looked(session, ALICE)
    assert folded(chicago) == [
        ("bob", 2, "25 06:00", "25 09:00"),
        ("carol", 1, None, "25 09:00"),
        ("bob", 1, None, "25 09:00"),
        ("erin", 1, "25 06:00", "25 06:00"),
        ("erin", 5, "24 15:00", "25 03:00"),
        ("bob", 5, "24 15:00", "25 03:00"),
    ]
    assert [row.count for row in utc.items if row.since] == [4, 3, 3, 3]
    assert {row.patient_id for row in utc.items} == {ALICE}


@pytest.mark.usefixtures("a_week_of_lists")
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_a_folded_line_stands_on_one_page_with_the_count_of_the_whole_day(database: Database, limit: int) -> None:
    with database.reading() as session:
        whole = folded(who_looked(session, ALICE))
        pieces, before, pages = [], None, 0
        while True:
            page = who_looked(session, ALICE, before=before, limit=limit)
            pieces += folded(page)
            before, pages = page.next, pages + 1
            if before is None:
                break
    assert pieces == whole
    assert pages == -(-len(whole) // limit)


def test_a_day_stays_one_line_when_the_clock_was_moved_back(database: Database, tuesday: object) -> None:
    for days in (0, 2, -2, 2, -2):
        clock.shift(timedelta(days=days))
        listed(database, BOB)
    with database.reading() as session:
        assert sorted(row.count for row in who_looked(session, ALICE).items) == [2, 3]
