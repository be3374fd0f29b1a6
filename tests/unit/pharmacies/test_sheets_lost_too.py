"""Bob alone held Riverside's keys, and two sheets are lost with them: the pharmacy goes on beside the old one."""

from dataclasses import replace
from datetime import date

import pytest
from world import NOBODY, RIVERSIDE, build
from world_keys import Keys

from portal.accounts import invitations
from portal.accounts.roles import Role
from portal.accounts.tables import PatientRecord
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import PortalError
from portal.pharmacies import care, profiles, staff, teams
from portal.pharmacies.tables import EhrConnection

BORN = date(1974, 3, 9)
NEW = replace(RIVERSIDE, id="millside", name="Riverside Pharmacy (new)")


def test_the_pharmacy_goes_on_beside_the_old_one(database: Database) -> None:
    keys = Keys(build(database))
    world = keys.world
    keys.enrol("bob", "erin", "alice")
    keys.team("riverside_pharmacists", "bob", "bob")
    keys.start_again("bob")
    # The old team takes no record from keys that were begun anew, and nobody else has any.
    with pytest.raises(PortalError):
        keys.team("riverside_pharmacists", "bob", "bob")
    with world.database.transaction() as session:
        profiles.create(session, agent=NOBODY, profile=NEW)
        session.add(
            EhrConnection(
                id="millside-ehr",
                pharmacy_id="millside",
                base_url="http://ehr.test/fhir",
                auth="none",
                created_at=clock.now(),
            )
        )
        for name in ("bob", "erin"):
            staff.change_role(
                session, bus=MemoryBus(), account_id=world.accounts[name], role=Role.PHARMACIST, pharmacy_id="millside"
            )
    # With a new recovery code, as before the first team.
    keys.code_for("bob")
    keys.team("millside_pharmacists", "bob", "bob")
    keys.team("millside_pharmacists", "bob", "bob", "erin")
    with world.database.reading() as session:
        assert teams.members(session, "millside_pharmacists") == {world.accounts["bob"], world.accounts["erin"]}
    # Alice's card of the new pharmacy adds it to what she has: one account, one patient, both pharmacies.
    with world.database.transaction() as session:
        _, code = invitations.invite(
            session,
            actor=world.actor("erin"),
            pharmacy_id="millside",
            connection_id="millside-ehr",
            fhir_id="alice",
        )
    redeemed = invitations.redeem(
        world.database,
        actor=world.actor("alice"),
        code=code,
        birth_date=BORN,
        birth_date_from_ehr=lambda *_: BORN,
        also=lambda session, found: care.start(
            session,
            agent=NOBODY,
            patient_id=found.patient_id,
            pharmacy_id="millside",
            source=care.Source.INVITATION,
        ),
    )
    assert redeemed.patient_id == world.patients["alice"]
    with world.database.reading() as session:
        assert set(care.pharmacies_of(session, [redeemed.patient_id])[redeemed.patient_id]) >= {"riverside", "millside"}
        assert session.get(PatientRecord, (redeemed.patient_id, "millside-ehr")) is not None
