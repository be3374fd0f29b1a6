"""Every route of the portal with something to send to it: what tests/access_matrix.toml says, made into requests."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse
from world import World, build
from world_keys import Keys
from world_threads import Threads
from world_web import ORIGIN, Browser

from portal.accounts import carer_invitations, carers, consents, invitations, patients
from portal.accounts.roles import Kind, Scope
from portal.accounts.tables import MatchRequest, SealedObject
from portal.core import clock, ids
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.outbox.tables import OutboxJob
from portal.pharmacies import care, recovery_acts, staff_invitations
from portal.pharmacies.tables import RecoveryAct
from portal.privacy import stopping
from portal.threads.tables import Attachment, AttachmentPart

MATRIX: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "access_matrix.toml").read_text("utf-8"))
UNKNOWN = "f" * 32


@dataclass
class Scene:
    """The world, and for each kind of thing an id in each case; staff see as `care` what is a patient's own."""

    app: Flask
    world: World
    things: dict[str, dict[str, str]] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)

    def browser(self, name: str | None) -> Browser:
        if name is None:
            return stranger(self.app, self.world)
        if name not in self.browsers:
            self.browsers[name] = Browser(self.app, self.world, name)
            self.browsers[name].csrf  # noqa: B018  asked for before statements are counted
        return self.browsers[name]


def stranger(app: Flask, world: World) -> Browser:
    made = Browser(app, world, "alice")
    made.client = app.test_client()
    made._csrf = None
    return made


def scene_of(app: Flask, database: Database) -> Scene:
    """The app in front of the shared world."""
    return Scene(app, build(database))


def furnish(scene: Scene, kind: str) -> dict[str, str]:
    """One thing of each case. Dave writes to Harbor only where a thread is wanted; Nick is in Harbor's care."""
    world = scene.world
    if kind == "patient-of-team":
        keys = Keys(world)
        keys.enrol("bob")
        keys.team("riverside_pharmacists", "bob", "bob")
    if kind in ("patient", "patient-of-team"):
        return {"own": world.patients["alice"], "care": world.patients["alice"], "foreign": nick(world)}
    if kind == "patient-to-end":
        # One for each who may end the care, for it is ended then.
        ends = {"own": "alice", "care": "ann", "care of pharmacist": "dave", "care of supervisor": "rosa"}
        return {"foreign": nick(world), **{case: world.patients[name] for case, name in ends.items()}}
    if kind in ("pharmacy-with-team", "staff-invitation"):
        keys = Keys(world)
        keys.enrol("bob", "carol")
        keys.team("riverside_pharmacists", "bob", "bob")
        keys.team("harbor_pharmacists", "carol", "carol")
    if kind in ("carer-invitation", "carer-relation"):
        made = {name: helped(world, name, taken=kind == "carer-relation") for name in ("alice", "dave")}
        return {"own": made["alice"], "care": made["alice"], "foreign": made["dave"]}
    if kind == "carer-consent":
        # One for each who may end it, for it is ended then.
        cases = ("own", "care", "care of pharmacist", "care of supervisor")
        return {"foreign": consented(world, "carol"), **{case: consented(world, "bob") for case in cases}}
    if kind == "staff-invitation":
        own = invited(world, "bob")
        return {"own": own, "care": own, "foreign": invited(world, "carol")}
    if kind in ("match-request", "match-request-over"):
        own = match_asked(world, "alice", "riverside", over=kind == "match-request-over")
        return {"own": own, "care": own, "foreign": match_asked(world, "dave", "harbor", over=False)}
    if kind == "patient-invitation":
        own = invited_patient(world, "bob", "nora")
        return {"own": own, "care": own, "foreign": invited_patient(world, "carol", "nick")}
    if kind in ("pharmacy", "pharmacy-with-team"):
        return {"own": "riverside", "care": "riverside", "foreign": "harbor", "unknown": "nowhere"}
    if kind == "recovery-act":
        own = recovery_act(world, "erin", "riverside")
        return {"own": own, "care": own, "foreign": recovery_act(world, "carol", "harbor"), "unknown": UNKNOWN}
    if kind == "team":
        team = "{}_pharmacists".format
        keys = Keys(world)
        keys.enrol("bob", "carol")
        keys.team("riverside_pharmacists", "bob", "bob")
        keys.team("harbor_pharmacists", "carol", "carol")
        return {"own": team("riverside"), "care": team("riverside"), "foreign": team("harbor"), "unknown": team("x")}
    if kind == "session":
        own = Browser(scene.app, world, "alice").session_ref
        return {"own": own, "care": own, "foreign": Browser(scene.app, world, "dave").session_ref}
    if kind == "started-again":
        keys = Keys(world)
        keys.enrol("alice", "carol")
        keys.start_again("alice")
        keys.start_again("carol")
        return {"own": UNKNOWN, "care": world.accounts["alice"], "foreign": world.accounts["carol"]}
    if kind == "stopped-person":
        # One for each who may end the stop, for it is ended then.
        cared = {"care": "alice", "care of supervisor": "rosa", "care of privacy": "frank"}
        for name in (*cared.values(), "carol"):
            with world.database.transaction() as session:
                stopping.press(session, actor=world.actor(name), bus=MemoryBus())
        return {
            "own": UNKNOWN,
            "foreign": world.accounts["carol"],
            **{case: world.accounts[name] for case, name in cared.items()},
        }
    if kind == "job":
        return {"care": job(world), "own": UNKNOWN, "foreign": UNKNOWN}
    if kind == "upload":
        return {"own": upload(world, "alice"), "care": upload(world, "alice"), "foreign": upload(world, "dave")}
    keys = Keys(world)
    keys.enrol("alice", "dave", "bob", "carol", with_recovery=False) if kind in ("person", "device") else keys.enrol(
        "alice", "dave", "bob", "carol"
    )
    if kind == "draft":
        return {"own": draft(world, "alice"), "foreign": draft(world, "dave"), "care": draft(world, "erin")}
    if kind == "person":
        people = world.accounts
        return {"own": people["alice"], "care": people["alice"], "foreign": outsider(world)}
    if kind == "device":
        alice, dave = (keys.people[name].device.dev for name in ("alice", "dave"))
        return {"own": alice, "care": alice, "foreign": dave}
    keys.team("riverside_pharmacists", "bob", "bob")
    keys.team("harbor_pharmacists", "carol", "carol")
    threads = Threads(keys)
    own = threads.start("alice", "alice", "May I?").thread_id
    foreign = threads.start("dave", "dave", "May I?", pharmacy="harbor").thread_id
    if kind == "attachment":
        own, foreign = (upload(world, name, thread) for name, thread in (("alice", own), ("dave", foreign)))
    return {"own": own, "care": own, "foreign": foreign}


def invited(world: World, by: str) -> str:
    """A colleague whom somebody has invited."""
    actor = world.actor(by)
    oscar = staff_invitations.Newcomer("oscar@example.org", "Oscar Bell", "pharmacist")
    with world.database.transaction() as session:
        return staff_invitations.invite(session, actor=actor, pharmacy_id=str(actor.pharmacy_id), newcomer=oscar)


def helped(world: World, name: str, *, taken: bool) -> str:
    """The invitation of somebody who is to act for a patient; once `taken` up, the relation that came of it."""
    where = carers.Circumstances(zone="UTC", of_age=18, born=None)
    with world.database.transaction() as session:
        made, code = carer_invitations.invite(
            session,
            actor=world.actor(name),
            patient_id=world.patients[name],
            newcomer=carer_invitations.Newcomer("Judy", None, "carer", "orders"),
            where=where,
        )
    if not taken:
        return made
    with world.database.transaction() as session:
        return carer_invitations.accept(session, actor=world.actor("judy"), invitation_id=made, code=code).id


def consented(world: World, by: str) -> str:
    """What staff have seen on paper, on which somebody may act for Dave."""
    actor = world.actor(by)
    with world.database.transaction() as session:
        basis = consents.Basis(
            pharmacy_id=str(actor.pharmacy_id),
            kind=Kind.CARER,
            scope=Scope.ORDERS,
            ends_at=None,
            paper=consents.Paper.SIGNED,
            dated=clock.now().date(),
        )
        return consents.keep(session, actor=actor, patient_id=world.patients["dave"], basis=basis).id


def match_asked(world: World, name: str, pharmacy: str, *, over: bool) -> str:
    """A request to be found; `over`: taken back already."""
    with world.database.transaction() as session:
        made = MatchRequest(
            id=ids.random_id(),
            pharmacy_id=pharmacy,
            account_id=world.accounts[name],
            address="x",
            created_at=clock.now(),
            expires_at=clock.now() + timedelta(days=1),
            withdrawn_at=clock.now() if over else None,
        )
        session.add(made)
        return made.id


def invited_patient(world: World, by: str, fhir_id: str) -> str:
    """A patient whom somebody has invited."""
    actor = world.actor(by)
    pharmacy = str(actor.pharmacy_id)
    with world.database.transaction() as session:
        invitation, _ = invitations.invite(
            session, actor=actor, pharmacy_id=pharmacy, connection_id=f"{pharmacy}-ehr", fhir_id=fhir_id
        )
        return invitation


def recovery_act(world: World, by: str, pharmacy_id: str) -> str:
    """Somebody has asked to be let in with the recovery sheets."""
    row = RecoveryAct(
        id=ids.random_id(),
        pharmacy_id=pharmacy_id,
        account_id=world.accounts[by],
        teams=["pharmacists"],
        reason="all keys are lost",
        asked_by=world.accounts[by],
        asked_at=clock.now(),
        state=recovery_acts.State.ASKED.value,
        expires_at=clock.now() + recovery_acts.WAITS,
    )
    with world.database.transaction() as session:
        session.add(row)
        return row.id


def nick(world: World) -> str:
    with world.database.transaction() as session:
        patient = patients.ensure(session, connection_id="harbor-ehr", fhir_id="nick")
        care.start(
            session,
            agent=world.actor("carol").agent,
            patient_id=patient.id,
            pharmacy_id="harbor",
            source=care.Source.DISPENSER,
        )
        return patient.id


def outsider(world: World) -> str:
    return world.accounts["carol"]


def job(world: World) -> str:
    with world.database.transaction() as session:
        dead = OutboxJob(id=ids.random_id(), kind="notice.keys", payload={}, created_at=clock.now(), due_at=clock.now())
        dead.dead_at = clock.now()
        session.add(dead)
        return dead.id


def draft(world: World, name: str) -> str:
    """A draft of somebody; gives the owner's id."""
    owner = world.accounts[name]
    with world.database.transaction() as session:
        session.add(
            SealedObject(owner=owner, kind="draft", id="d1", rev=1, h="x", sig="x", ct=b"x", updated_at=clock.now())
        )
    return owner


def upload(world: World, name: str, thread: str | None = None) -> str:
    """Nine bytes: still on their way, or named by the second record of a thread."""
    made = Attachment(
        id=ids.random_id(),
        pharmacy_id="riverside",
        thread_id=thread or ids.random_id(),
        account_id=world.accounts[name],
        size=9,
        received=9 if thread else 0,
        cth="A" * 43,
        created_at=clock.now(),
        complete_at=clock.now() if thread else None,
        seq=2 if thread else None,
    )
    with world.database.transaction() as session:
        session.add(made)
        session.flush()
        if thread:
            session.add(AttachmentPart(pharmacy_id="riverside", attachment_id=made.id, start=0, data=b"123456789"))
    return made.id


def fill(value: Any, thing: str, erin: str = "") -> Any:
    if isinstance(value, dict):
        return {name: fill(inner, thing, erin) for name, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, thing, erin) for inner in value]
    return value.replace("$", thing).replace("@erin", erin) if isinstance(value, str) else value


def path_of(route: str, row: dict[str, Any], thing: str) -> str:
    """The route's path with its places filled."""
    values = fill(row.get("path", {}), thing)
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda place: str(values[place[1]]), route.split(" ")[1])


def ask(browser: Browser, route: str, row: dict[str, Any], thing: str, erin: str) -> TestResponse:
    method, path = route.split(" ")[0], path_of(route, row, thing)
    kind: dict[str, Any] = {}
    if "body" in row:
        kind = {"json": fill(row["body"], thing, erin)}
    elif "form" in row:
        kind = {"data": {"csrf_token": browser.csrf, **fill(row["form"], thing, erin)}}
    elif "raw" in row:
        kind = {"data": row["raw"], "content_type": "application/octet-stream"}
    headers = {"Idempotency-Key": "a" * 32}
    if method != "GET":
        headers |= {"Origin": ORIGIN, "X-CSRF-Token": browser.csrf}
    return browser.client.open(path, method=method, query_string=fill(row.get("query"), thing), headers=headers, **kind)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statement = statement.replace(" AND (1 != 1)", "")
        # An empty list is written in another way than a full one; it is the same statement.
        seen.append(re.sub(r"\bIN \((?:[^()]|\([^()]*\))*\)(?: (?:AND|OR) \(1 !?= 1\))?", "IN (…)", statement))

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def routes_of(app: Flask) -> set[str]:
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
