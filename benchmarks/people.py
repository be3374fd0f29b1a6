"""Many people with keys, sessions and threads, made through the portal's own functions: the load is the real thing.

Stands on the people of the tests (`tests/world*.py`), which seal as a browser seals.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from world import NOBODY, add_account, build
from world_keys import Keys
from world_threads import Threads, body

from portal.accounts import patients, relations
from portal.accounts.roles import Kind, Role
from portal.core import clock
from portal.core.database import Database
from portal.e2ee.seal import Writer
from portal.identity import sessions
from portal.identity.session_life import Proof
from portal.pharmacies import care

# Text whose sealed form is near 600 bytes, as in the measurements the targets were taken from.
TEXT = "Can I take ibuprofen with my other tablets, and how long before breakfast should that be? " * 4
TEAM = "riverside_pharmacists"
CSRF = "benchmark"


@dataclass(frozen=True)
class SealedSend:
    """A send as bytes after the request line: who sends it decides the cookie."""

    sender: str
    key: str
    body: bytes


@dataclass
class Chain:
    """Sends of one thread that follow one another."""

    thread_id: str
    sends: list[SealedSend]


class People:
    """A pharmacy's pharmacists and its patients; `cookie` gives everyone's session."""

    def __init__(self, database: Database, *, pharmacists: int = 24) -> None:
        self.keys = Keys(build(database))
        self.threads = Threads(self.keys)
        self.pharmacists = ["bob"] + [self._add(f"pharmacist-{i}", Role.PHARMACIST) for i in range(1, pharmacists)]
        self.keys.enrol(*self.pharmacists)
        self.keys.team(TEAM, "bob", *self.pharmacists)
        self._cookies: dict[str, str] = {}
        self._turn = 0

    @property
    def database(self) -> Database:
        """Where they live."""
        opened: Database = self.keys.world.database
        return opened

    def patient(self) -> str:
        """One more patient of the pharmacy, with keys."""
        world = self.keys.world
        name = self._add(f"patient-{len(world.accounts)}", Role.PATIENT)
        with self.database.transaction() as session:
            patient = patients.ensure(session, connection_id="riverside-ehr", fhir_id=name)
            world.patients[name] = patient.id
            care.start(
                session,
                agent=NOBODY,
                patient_id=patient.id,
                pharmacy_id="riverside",
                source=care.Source.DISPENSER,
            )
            relations.bind(
                session, agent=NOBODY, account_id=world.accounts[name], patient_id=patient.id, kind=Kind.SELF
            )
        self.keys.enrol(name)
        return name

    def chain(self, length: int) -> Chain:
        """A new thread of a new patient, and `length` sealed sends: the patient's and those of three pharmacists."""
        patient = self.patient()
        thread_id = self.threads.start(patient, patient, TEXT).thread_id
        return Chain(thread_id, list(self._sends(patient, thread_id, length)))

    def cookie(self, name: str) -> str:
        """The session cookie of somebody, begun at the first call and bound to the own device."""
        if name not in self._cookies:
            actor = self.keys.actor(name)
            proof = Proof(clock.now(), None, (), None, None)
            with self.database.transaction() as session:
                cookie, current = sessions.begin(
                    session, account_id=actor.account_id, role=actor.role.value, proof=proof
                )
                # What Flask-Login and Flask-WTF keep after a login in a browser.
                web = {"_user_id": actor.account_id, "_fresh": True, "csrf_token": CSRF}
                sessions.keep_web(session, current, web)
                if actor.device_id is not None:
                    sessions.bind_device(session, current.ref, actor.device_id)
            self._cookies[name] = cookie
        return self._cookies[name]

    def _add(self, name: str, role: Role) -> str:
        world = self.keys.world
        with self.database.transaction() as session:
            world.accounts[name] = add_account(session, name, role, "riverside" if role is not Role.PATIENT else None)
        return name

    def _sends(self, patient: str, thread_id: str, length: int) -> Iterator[SealedSend]:
        count = len(self.pharmacists)
        staff = [self.pharmacists[(self._turn + i) % count] for i in range(min(3, count))]
        self._turn += len(staff)
        writer: Writer = self.threads.writer(patient, thread_id)
        for number in range(length):
            name = patient if number % 2 == 0 else staff[number // 2 % len(staff)]
            writer.device = self.keys.people[name].device
            content, key = body(TEXT)
            record = writer.message(content, clock.now_ms())
            yield SealedSend(name, key, compact({"records": [record.to_json()], "urgent": False}))


def compact(value: Any) -> bytes:
    """JSON as a browser sends it."""
    return json.dumps(value, separators=(",", ":")).encode()
