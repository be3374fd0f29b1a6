"""A small world that the tests share: Riverside and Harbor, the people who work there, and those they care for.

Alice, Dave and Ann are in Riverside's care, Dave also in Harbor's. Bob and Erin are pharmacists, Frank is a technician,
Grace a supervisor and Heidi the privacy officer of Riverside; Carol is a pharmacist of Harbor; Ivan runs the server.
Rosa is in Riverside's care and has an account, Judy is her daughter and acts for her.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from portal.accounts import patients, relations
from portal.accounts.actor import Actor, load_actor
from portal.accounts.roles import Kind, Role
from portal.accounts.tables import Account
from portal.audit import Agent
from portal.core import clock, ids
from portal.core.database import Database
from portal.pharmacies import care, profiles
from portal.pharmacies.tables import EhrConnection

ISSUER = "http://idp.test"
NOBODY = Agent(account_id=None, role="operator")
WEEKDAYS = {day: [["08:00", "19:00"]] for day in ("mon", "tue", "wed", "thu", "fri")} | {"sat": [["09:00", "14:00"]]}
ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}

RIVERSIDE = profiles.Profile(
    id="riverside",
    name="Riverside Pharmacy",
    address="12 Mill Lane",
    phone="+1 555 0100",
    on_call_phone="+1 555 0101",
    country="US",
    time_zone="America/Chicago",
    languages=("en", "es"),
    week=WEEKDAYS,
)
HARBOR = profiles.Profile(
    id="harbor",
    name="Harbor Pharmacy",
    address="1 Quay Street",
    phone="+1 555 0200",
    country="US",
    time_zone="America/New_York",
    languages=("en",),
    week=ALWAYS,
)

PEOPLE: dict[str, tuple[Role, str | None]] = {
    "alice": (Role.PATIENT, None),
    "dave": (Role.PATIENT, None),
    "rosa": (Role.PATIENT, None),
    "judy": (Role.PATIENT, None),
    "bob": (Role.PHARMACIST, "riverside"),
    "erin": (Role.PHARMACIST, "riverside"),
    "frank": (Role.TECHNICIAN, "riverside"),
    "grace": (Role.SUPERVISOR, "riverside"),
    "heidi": (Role.PRIVACY, "riverside"),
    "carol": (Role.PHARMACIST, "harbor"),
    "ivan": (Role.OPERATOR, None),
}
CARE = {"alice": ("riverside",), "dave": ("riverside", "harbor"), "rosa": ("riverside",), "ann": ("riverside",)}


@dataclass(frozen=True)
class SignedIn:
    """What a session knows of its login."""

    ref: str
    auth_time: datetime | None
    device_id: str | None = None


@dataclass
class World:
    """The people and patients by name: account ids in `accounts`, patient ids in `patients`."""

    database: Database
    accounts: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)

    def actor(self, name: str, *, auth_time: datetime | None = None, device_id: str | None = None) -> Actor:
        """The person as the domain sees them, logged in just now unless `auth_time` says otherwise."""
        login = SignedIn(f"session-{name}", auth_time or clock.now(), device_id)
        with self.database.reading() as session:
            return load_actor(
                session, self.accounts[name], login=login, address="192.0.2.1", request_id=ids.random_id()
            )


def build(database: Database) -> World:
    """Fill an empty, migrated database."""
    world = World(database)
    with database.transaction() as session:
        for profile in (RIVERSIDE, HARBOR):
            profiles.create(session, agent=NOBODY, profile=profile)
            session.add(
                EhrConnection(
                    id=f"{profile.id}-ehr",
                    pharmacy_id=profile.id,
                    base_url="http://ehr.test/fhir",
                    auth="none",
                    created_at=clock.now(),
                )
            )
        for name, (role, pharmacy_id) in PEOPLE.items():
            world.accounts[name] = add_account(session, name, role, pharmacy_id)
        for name, pharmacies in CARE.items():
            patient = patients.ensure(session, connection_id=f"{pharmacies[0]}-ehr", fhir_id=name)
            world.patients[name] = patient.id
            for pharmacy_id in pharmacies:
                care.start(
                    session,
                    agent=NOBODY,
                    patient_id=patient.id,
                    pharmacy_id=pharmacy_id,
                    source=care.Source.DISPENSER,
                )
        for name, patient_name, kind in (
            ("alice", "alice", Kind.SELF),
            ("dave", "dave", Kind.SELF),
            ("rosa", "rosa", Kind.SELF),
            ("judy", "rosa", Kind.CHILD),
        ):
            relations.bind(
                session,
                agent=NOBODY,
                account_id=world.accounts[name],
                patient_id=world.patients[patient_name],
                kind=kind,
            )
    return world


def add_account(session: Session, name: str, role: Role, pharmacy_id: str | None = None) -> str:
    """One more person; gives the account's id."""
    account_id = ids.random_id()
    session.execute(
        insert(Account).values(
            id=account_id,
            issuer=ISSUER,
            subject=name,
            role=role.value,
            pharmacy_id=pharmacy_id,
            display_name=name.capitalize(),
            email=f"{name}@example.org",
            email_verified=True,
            language="en",
            created_at=clock.now(),
        )
    )
    return account_id
