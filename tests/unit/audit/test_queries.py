"""Alice sees who looked; Heidi, the privacy officer of Riverside, searches Riverside's rows and no others."""

from datetime import timedelta

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
