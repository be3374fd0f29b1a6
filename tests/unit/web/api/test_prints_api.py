"""What leaves on paper leaves a line, and only what one may read may be printed."""

import pytest
from ehr_fakes import FakeEhr, context_of
from flask import Flask
from sqlalchemy import select
from world import NOBODY, World
from world_keys import Keys
from world_threads import Threads
from world_web import Browser, portal_app

from portal.accounts import relations
from portal.accounts.roles import Scope
from portal.audit.tables import AuditEvent
from portal.core.database import Database
from portal.core.settings import Settings
from portal.pharmacies.topics import Topic


@pytest.fixture
def threads(database: Database) -> Threads:
    from world import build

    keys = Keys(build(database))
    keys.enrol("alice", "dave", "bob", "carol")
    keys.team("riverside_pharmacists", "bob", "bob")
    return Threads(keys)


@pytest.fixture
def world(threads: Threads) -> World:
    made: World = threads.world
    return made


@pytest.fixture
def app(settings: Settings, database: Database, world: World) -> Flask:
    return portal_app(settings, database, ehr=FakeEhr({"alice": context_of("alice")}))


def printed(database: Database) -> list[tuple[str | None, str | None, str | None]]:
    with database.reading() as session:
        rows = session.scalars(select(AuditEvent).where(AuditEvent.action == "printed").order_by(AuditEvent.seq))
        return [(row.account_id, row.patient_id, row.entity_id) for row in rows]


def test_a_thread_and_one_message_of_it(app: Flask, threads: Threads, world: World, database: Database) -> None:
    thread = threads.start("alice", "alice", "May I take it with milk?", topic=Topic.MEDICINE).thread_id
    bob = Browser(app, world, "bob")
    assert bob.post("/api/prints", {"what": "thread", "thread": thread}).status_code == 204
    assert bob.post("/api/prints", {"what": "thread", "thread": thread, "sequence": 2}).status_code == 204
    assert printed(database) == [
        (world.accounts["bob"], world.patients["alice"], thread),
        (world.accounts["bob"], world.patients["alice"], f"{thread}.2"),
    ]
    assert bob.post("/api/prints", {"what": "thread", "thread": thread, "sequence": 99}).status_code == 404
    for stranger in ("dave", "carol"):
        browser = Browser(app, world, stranger)
        assert browser.post("/api/prints", {"what": "thread", "thread": thread}).status_code == 404
    assert len(printed(database)) == 2


def test_medicines_are_printed_by_those_who_may_read_them(app: Flask, world: World, database: Database) -> None:
    wanted = {"what": "medicines", "patient": world.patients["alice"], "pharmacy": "riverside"}
    for name, status in (("alice", 204), ("bob", 204), ("carol", 404), ("dave", 404), ("heidi", 403)):
        assert Browser(app, world, name).post("/api/prints", wanted).status_code == status, name
    assert [account for account, _, _ in printed(database)] == [world.accounts["alice"], world.accounts["bob"]]


def test_who_sees_orders_alone_stands_on_no_record_as_a_printer_of_medicines(
    app: Flask, world: World, database: Database
) -> None:
    with database.transaction() as session:
        (relation,) = relations.live(session, account_id=world.accounts["judy"])
        relations.change(session, agent=NOBODY, relation=relation, scope=Scope.ORDERS, until=None)
    for name, patient in (("judy", "rosa"), ("frank", "alice")):
        wanted = {"what": "medicines", "patient": world.patients[patient], "pharmacy": "riverside"}
        assert Browser(app, world, name).post("/api/prints", wanted).status_code == 403, name
    assert printed(database) == []


def test_opening_the_page_made_for_printing_is_on_record(app: Flask, world: World, database: Database) -> None:
    alice = Browser(app, world, "alice")
    assert alice.client.get("/medicines/print").status_code == 200
    assert printed(database) == [(world.accounts["alice"], world.patients["alice"], world.patients["alice"])]


def test_the_recovery_sheet_and_nonsense(app: Flask, world: World, database: Database) -> None:
    alice = Browser(app, world, "alice")
    assert alice.post("/api/prints", {"what": "recovery"}).status_code == 204
    assert printed(database) == [(world.accounts["alice"], None, world.accounts["alice"])]
    for wrong in ({"what": "everything"}, {"what": "thread"}, {"what": "medicines", "patient": "x"}):
        assert alice.post("/api/prints", wrong).status_code == 400
