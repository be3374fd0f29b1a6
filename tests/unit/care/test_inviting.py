"""Bob looks for Nora in the EHR, tells her from Norah, and gives her a code; everyone he is shown is on record."""

from dataclasses import dataclass, field
from datetime import date

import pytest
from sqlalchemy import select
from world import World, build

from portal.accounts import invitations
from portal.audit.tables import AuditEvent
from portal.care import inviting
from portal.care.inviting import How
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, Unavailable, Unprocessable
from portal.ehr.errors import DownReason, EhrNotFound, EhrProtocolError, EhrUnavailable, ProtocolFault
from portal.ehr.model import Identifier, Patient

BORN = date(1974, 3, 9)


def somebody(fhir_id: str, name: str, number: str = "", **more: object) -> Patient:
    given, _, family = name.partition(" ")
    numbers = (Identifier("urn:mrn", number, "MR"),) if number else ()
    return Patient(
        **{
            "id": fhir_id,
            "full_name": name,
            "family": family,
            "given": given,
            "birth_date": "1974-03-09",
            "sex": "female",
            "identifiers": numbers,
            "active": True,
            "deceased": False,
            **more,
        }  # type: ignore[arg-type]
    )


@dataclass
class Registry:
    """An EHR that knows a few people."""

    people: list[Patient] = field(default_factory=list)
    fault: Exception | None = None

    def reader(self, address: object) -> "Registry":
        if self.fault is not None:
            raise self.fault
        return self

    def find_by_name(self, name: str, born: date) -> tuple[Patient, ...]:
        return tuple(one for one in self.people if one.full_name.startswith(name))

    def find_by_phone(self, phone: str) -> tuple[Patient, ...]:
        return tuple(self.people)

    def patient(self, fhir_id: str) -> Patient:
        found = next((one for one in self.people if one.id == fhir_id), None)
        if found is None:
            raise EhrNotFound(404)
        return found

    def patients_of(self, connection_id: str, fhir_ids: list[str]) -> dict[str, Patient]:
        if self.fault is not None:
            raise self.fault
        return {one.id: one for one in self.people if one.id in fhir_ids}


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def ehr() -> Registry:
    return Registry(
        [
            somebody("nora", "Nora Hall", "100", language="es-MX"),
            somebody("norah", "Norah Hall", "101"),
            somebody("alice", "Nora Adams"),
            somebody("old", "Nora Quinn", deceased=True),
        ]
    )


def shown(database: Database) -> list[tuple[str | None, str | None, object]]:
    with database.reading() as session:
        rows = session.scalars(
            select(AuditEvent).where(AuditEvent.action == "patient.looked-up").order_by(AuditEvent.seq)
        )
        return [(row.patient_id, row.entity_id, (row.detail or {}).get("query")) for row in rows]


def find(world: World, ehr: Registry, by: str = "bob", **wanted: object) -> inviting.Found:
    wanted = wanted or {"name": "Nora", "born": BORN}
    return inviting.find(world.database, ehr, actor=world.actor(by), pharmacy_id="riverside", **wanted)  # type: ignore[arg-type]


def invite(world: World, ehr: Registry, fhir_id: str, by: str = "bob", how: How = How.CARD) -> inviting.Card:
    return inviting.invite(
        world.database,
        ehr,  # type: ignore[arg-type]
        actor=world.actor(by),
        pharmacy_id="riverside",
        fhir_id=fhir_id,
        how=how,
        language="es",
    )


def test_everyone_found_is_told_apart_and_put_on_record(world: World, ehr: Registry) -> None:
    found = {one.fhir_id: one for one in find(world, ehr).items}
    assert (found["nora"].number, found["nora"].language) == ("MR 100", "es")
    assert [found[one].look_alike for one in ("nora", "norah")] == [True, True]
    assert (found["alice"].account, found["alice"].in_care) == (True, True)
    assert (found["nora"].account, found["nora"].in_care, found["nora"].closed) == (False, False, "")
    assert found["old"].closed == "deceased"
    assert shown(world.database) == [
        (None, "nora", "name-birth-date"),
        (None, "norah", "name-birth-date"),
        (world.patients["alice"], world.patients["alice"], "name-birth-date"),
        (None, "old", "name-birth-date"),
    ]


def test_a_search_that_finds_nobody_is_on_record_too(world: World, ehr: Registry) -> None:
    assert find(world, ehr, name="Zoe", born=BORN).items == ()
    assert shown(world.database) == [(None, "riverside", "name-birth-date")]


def test_too_many_are_not_shown(world: World) -> None:
    ehr = Registry([somebody(f"n-{number}", "Nora Hall") for number in range(inviting.MOST_SHOWN + 1)])
    found = find(world, ehr, phone="555 555 0142")
    assert (found.items, found.more) == ((), True)
    assert shown(world.database) == [(None, "riverside", "phone")]


@pytest.mark.parametrize(
    "wanted",
    [{"name": "Nora"}, {"born": BORN}, {"name": "N" * 121, "born": BORN}, {"name": "Nora", "phone": "5555550142"}],
)
def test_a_name_alone_finds_nobody(world: World, ehr: Registry, wanted: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        find(world, ehr, **wanted)
    assert shown(world.database) == []


def test_only_who_may_invite_looks(world: World, ehr: Registry) -> None:
    find(world, ehr, by="frank")
    for by, error in (("heidi", Forbidden), ("carol", NotFound), ("alice", NotFound), ("ivan", NotFound)):
        with pytest.raises(error):
            find(world, ehr, by=by)
        with pytest.raises(error):
            invite(world, ehr, "nora", by=by)


@pytest.mark.parametrize("fault", [EhrUnavailable(DownReason.TIMEOUT), EhrProtocolError(ProtocolFault.NOT_FHIR)])
def test_an_ehr_that_is_down_is_said_to_be(world: World, ehr: Registry, fault: Exception) -> None:
    made = invite(world, ehr, "nora")
    ehr.fault = fault
    with pytest.raises(Unavailable):
        find(world, ehr)
    with pytest.raises(Unavailable):
        invite(world, ehr, "nora")
    page = listed(world, ehr)
    assert (page.stale, [(one.row.id, one.who) for one in page.items]) == (True, [(made.invitation_id, None)])


def test_who_has_died_is_here_already_or_unknown_gets_no_code(world: World, ehr: Registry) -> None:
    ehr.people.append(somebody("half", "Nora Half", birth_date="1974-03"))
    for fhir_id, error in (
        ("old", Unprocessable),
        ("half", Unprocessable),
        ("alice", Conflict),
        ("nobody", NotFound),
    ):
        with pytest.raises(error):
            invite(world, ehr, fhir_id)
    with world.database.reading() as session:
        assert invitations.listed(session, actor=world.actor("bob"), pharmacy_id="riverside") == ([], None)


def test_nobody_lists_off_record_who_is_known_here(world: World, ehr: Registry) -> None:
    refused = {"alice": Conflict, "old": Unprocessable, "nobody": NotFound}
    for fhir_id, error in refused.items():
        with pytest.raises(error):
            invite(world, ehr, fhir_id)
    assert shown(world.database) == [
        (world.patients["alice"], world.patients["alice"], "id"),
        (None, "old", "id"),
        (None, "nobody", "id"),
    ]
    # What no EHR could have as an id is asked of none.
    with pytest.raises(NotFound):
        invite(world, ehr, "no body/../x")
    assert len(shown(world.database)) == len(refused)


def test_a_card_is_recorded_as_a_print_and_a_code_read_out_is_not(world: World, ehr: Registry) -> None:
    card = invite(world, ehr, "nora")
    assert (card.name, card.language) == ("Nora Hall", "es")
    invite(world, ehr, "norah", how=How.SHOWN)
    with world.database.reading() as session:
        prints = session.scalars(select(AuditEvent).where(AuditEvent.action == "printed")).all()
    assert [(row.entity_id, row.detail) for row in prints] == [(card.invitation_id, {"what": "card"})]


def test_a_new_code_is_for_the_same_person_and_ends_the_old_one(world: World, ehr: Registry) -> None:
    first = invite(world, ehr, "nora")
    assert find(world, ehr).items[0].until is not None
    second = inviting.renew(
        world.database,
        ehr,  # type: ignore[arg-type]
        actor=world.actor("frank"),
        pharmacy_id="riverside",
        invitation_id=first.invitation_id,
        how=How.LETTER,
    )
    assert (second.name, second.language) == ("Nora Hall", "es")
    assert second.code != first.code
    page = listed(world, ehr)
    assert {(one.row.id, one.state, one.by) for one in page.items} == {
        (first.invitation_id, "replaced", "Bob"),
        (second.invitation_id, "open", "Frank"),
    }
    assert shown(world.database)[-1] == (None, "nora", "invitations")


def listed(world: World, ehr: Registry) -> inviting.Page:
    return inviting.listed(
        world.database, actor=world.actor("bob"), pharmacy_id="riverside", patients_of=ehr.patients_of
    )
