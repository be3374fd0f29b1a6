"""Who reads what of the record, and that no look at it goes without a row of its own."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from world import World, build

from portal.audit import Action, Agent, Entity, Outcome, record
from portal.audit.queries import Filters
from portal.audit.tables import AuditEvent
from portal.core import clock, ids
from portal.core.database import Database
from portal.core.errors import Forbidden, NotFound
from portal.privacy import record as privacy
from portal.privacy.record import Reading


@pytest.fixture
def world(database: Database) -> World:
    """Dave is in the care of Riverside and Harbor; a pharmacist of each opened his record, and a neighbour tried to."""
    world = build(database)
    acts = (
        ("bob", "pharmacist", "riverside", Outcome.SUCCESS),
        ("carol", "pharmacist", "harbor", Outcome.SUCCESS),
        ("alice", "patient", "riverside", Outcome.SERIOUS),
    )
    with world.database.transaction() as session:
        for name, role, pharmacy, outcome in acts:
            record(
                session,
                Action.CONTEXT_READ,
                agent=Agent(world.accounts[name], role),
                patient_id=world.patients["dave"],
                pharmacy_id=pharmacy,
                entity=Entity("Patient", world.patients["dave"]),
                outcome=outcome,
                reason=None if outcome is Outcome.SUCCESS else "not-found",
            )
    return world


def looks(world: World, name: str, patient: str, **more: Any) -> Reading:
    with world.database.transaction() as session:
        return privacy.look(
            session, actor=world.actor(name), patient_id=world.patients[patient], zone=UTC, before=None, **more
        )


def searches(world: World, name: str, before: int | None = None, **filters: Any) -> Reading:
    with world.database.transaction() as session:
        return privacy.search(session, actor=world.actor(name), filters=Filters(**filters), before=before)


def told(reading: Reading) -> dict[str, str | None]:
    """Who looked at a context, by pharmacy and role, and the name the reader is told."""
    return {
        f"{row.role} {row.pharmacy_id}": who.name if (who := reading.known.get(row.account_id or "")) else None
        for row in reading.rows
        if row.action == Action.CONTEXT_READ
    }


def written(world: World, *actions: Action) -> list[tuple[str, str | None, str | None, str | None, str]]:
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent).where(AuditEvent.action.in_(actions)).order_by(AuditEvent.seq)).all()
    return [(row.action, row.account_id, row.patient_id, row.pharmacy_id, row.purpose) for row in rows]


def test_dave_sees_every_pharmacy_and_no_neighbours_name(world: World) -> None:
    assert told(looks(world, "dave", "dave")) == {
        "pharmacist riverside": "Bob",
        "pharmacist harbor": "Carol",
        "patient riverside": None,
    }


def test_heidi_sees_her_own_pharmacy_with_all_names(world: World) -> None:
    assert told(looks(world, "heidi", "dave")) == {"pharmacist riverside": "Bob", "patient riverside": "Alice"}
    assert told(searches(world, "heidi", actions=[Action.CONTEXT_READ])) == told(looks(world, "heidi", "dave"))


@pytest.mark.parametrize("name", ["alice", "judy", "bob", "frank", "grace", "carol", "ivan"])
def test_nobody_else_looks_at_daves_record(world: World, name: str) -> None:
    with pytest.raises(NotFound):
        looks(world, name, "dave")
    assert written(world, Action.AUDIT_VIEWED) == []


@pytest.mark.parametrize("name", ["dave", "bob", "frank", "grace", "carol", "ivan"])
def test_nobody_else_searches_or_gets_the_list_of_colleagues(world: World, name: str) -> None:
    with pytest.raises(Forbidden):
        searches(world, name)
    with world.database.reading() as session, pytest.raises(Forbidden):
        privacy.colleagues(session, actor=world.actor(name))
    assert written(world, Action.AUDIT_SEARCHED, Action.AUDIT_VIEWED) == []


def test_heidi_picks_among_those_who_work_at_her_pharmacy(world: World) -> None:
    with world.database.reading() as session:
        found = privacy.colleagues(session, actor=world.actor("heidi"))
    assert [one.name for one in found] == ["Bob", "Erin", "Frank", "Grace", "Heidi"]


def test_each_look_is_on_record_with_its_purpose(world: World) -> None:
    dave, heidi, whose = world.accounts["dave"], world.accounts["heidi"], world.patients["dave"]
    looks(world, "dave", "dave")
    looks(world, "heidi", "dave")
    searches(world, "heidi", actions=[Action.CONTEXT_READ])
    assert written(world, Action.AUDIT_SEARCHED, Action.AUDIT_VIEWED) == [
        (Action.AUDIT_VIEWED, dave, whose, None, "PATRQT"),
        (Action.AUDIT_VIEWED, heidi, whose, "riverside", "HCOMPL"),
        (Action.AUDIT_SEARCHED, heidi, None, "riverside", "HCOMPL"),
        (Action.AUDIT_VIEWED, heidi, whose, "riverside", "HCOMPL"),
    ]


def test_judy_reads_her_mothers_record_in_her_mothers_name(world: World) -> None:
    looks(world, "judy", "rosa")
    (row,) = looks(world, "rosa", "rosa", others=True).rows[:1]
    assert (row.action, row.account_id, row.on_behalf) == (Action.AUDIT_VIEWED, world.accounts["judy"], "child")


def test_where_no_row_can_be_written_nothing_is_shown(world: World) -> None:
    with world.database.reading() as session:
        with pytest.raises(TypeError):
            privacy.look(session, actor=world.actor("dave"), patient_id=world.patients["dave"], zone=UTC)
        with pytest.raises(TypeError):
            privacy.search(session, actor=world.actor("heidi"), filters=Filters())


def test_a_long_record_is_read_page_by_page(world: World) -> None:
    with clock.at(datetime(2026, 11, 20, 16, tzinfo=UTC)), world.database.transaction() as session:
        for _ in range(privacy.SEARCH_PAGE + 5):
            record(
                session,
                Action.THREAD_READ,
                agent=Agent(world.accounts["bob"], "pharmacist"),
                patient_id=world.patients["rosa"],
                pharmacy_id="riverside",
                entity=Entity("Thread", ids.random_id()),
            )
    first = searches(world, "heidi", patient_id=world.patients["rosa"], actions=[Action.THREAD_READ])
    rest = searches(world, "heidi", first.next, patient_id=world.patients["rosa"], actions=[Action.THREAD_READ])
    assert (len(first.rows), len(rest.rows), rest.next) == (privacy.SEARCH_PAGE, 5, None)
