"""Nora has no code and asks Riverside to find her: nothing is told before Bob has compared her with the record."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select
from world import World, add_account, build
from world_keys import Keys

from portal.accounts import patients
from portal.accounts.roles import Role
from portal.accounts.tables import Account, Invitation, MatchRequest
from portal.audit.tables import AuditEvent
from portal.care import asking
from portal.care.asking import Asked, Reason, State
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, TooMany
from portal.core.secrets_box import SecretsBox
from portal.ehr.errors import EhrNotFound
from portal.ehr.model import Identifier, Patient
from portal.notify.mail import Mail
from portal.outbox import Job
from portal.outbox.tables import OutboxJob
from portal.pharmacies import care

BOX = asking.box(("k" * 32,))
TYPED = Asked("Nora Hall", "1974-03-09", prescription="rx-77", phone="555 555 0142")
NORA = Patient(
    "nora",
    "Nora Hall",
    "Hall",
    "Nora",
    "1974-03-09",
    "female",
    (Identifier("urn:mrn", "100", "MR"),),
    True,
    False,
    phones=("+1 555 555 0142",),
)
NORAH = replace(NORA, id="norah", full_name="Norah Hall", given="Norah", phones=())


@dataclass
class Registry:
    """An EHR that knows two people of nearly one name; Nora has the prescription."""

    people: list[Patient] = field(default_factory=lambda: [NORAH, NORA])
    holders: frozenset[str] | None = frozenset({"nora"})
    asked: int = 0

    def reader(self, address: object) -> "Registry":
        return self

    def find_by_name(self, name: str, born: date) -> tuple[Patient, ...]:
        self.asked += 1
        return tuple(one for one in self.people if one.full_name.startswith(name.split()[0]))

    def find_by_phone(self, phone: str) -> tuple[Patient, ...]:
        return tuple(one for one in self.people if one.has_phone(phone))

    def holders_of(self, prescription: str) -> frozenset[str] | None:
        return self.holders

    def patient(self, fhir_id: str) -> Patient:
        for one in self.people:
            if one.id == fhir_id:
                return one
        raise EhrNotFound(404)


@pytest.fixture
def world(database: Database) -> World:
    made = build(database)
    keys = Keys(made)
    keys.enrol("bob")
    keys.team("riverside_pharmacists", "bob", "bob")
    with database.transaction() as session:
        made.accounts["nora"] = add_account(session, "nora", Role.PATIENT)
    return made


@pytest.fixture
def ehr() -> Registry:
    return Registry()


def ask(world: World, by: str = "nora", asked: Asked = TYPED, pharmacy: str = "riverside") -> str:
    with world.database.transaction() as session:
        return asking.ask(session, actor=world.actor(by), pharmacy_id=pharmacy, asked=asked, sealing=BOX)


def look(world: World, ehr: Registry, request: str, by: str = "bob") -> asking.Case:
    return asking.look(
        world.database,
        ehr,  # type: ignore[arg-type]
        actor=world.actor(by),
        pharmacy_id="riverside",
        request_id=request,
        sealing=BOX,
    )


def confirm(world: World, ehr: Registry, request: str, fhir_id: str = "nora", by: str = "bob") -> None:
    asking.confirm(
        world.database,
        ehr,  # type: ignore[arg-type]
        actor=world.actor(by),
        pharmacy_id="riverside",
        request_id=request,
        fhir_id=fhir_id,
    )


def decline(world: World, request: str, by: str = "bob") -> None:
    with world.database.transaction() as session:
        asking.decline(
            session, actor=world.actor(by), pharmacy_id="riverside", request_id=request, reason=Reason.NOT_SURE
        )


def row_of(world: World, request: str) -> MatchRequest:
    with world.database.reading() as session:
        return session.get_one(MatchRequest, request)


def acts(world: World) -> list[str]:
    with world.database.reading() as session:
        wanted = select(AuditEvent.action).where(AuditEvent.action.startswith("match."))
        return list(session.scalars(wanted.order_by(AuditEvent.seq)))


def test_asking_asks_no_ehr_and_keeps_nothing_readable(world: World, ehr: Registry) -> None:
    row = row_of(world, ask(world))
    assert ehr.asked == 0
    assert row.asked is not None
    assert b"Nora" not in row.asked
    assert acts(world) == ["match.asked"]
    with world.database.transaction() as session:
        waiting, following = asking.waiting(session, actor=world.actor("frank"), pharmacy_id="riverside", sealing=BOX)
    assert ([(one.id, asked) for one, asked in waiting], following) == ([(row.id, TYPED)], None)
    with world.database.reading() as session:
        wanted = select(AuditEvent).where(AuditEvent.action == "patient.looked-up")
        (kept,) = session.scalars(wanted)
    assert (kept.account_id, kept.entity_kind, kept.entity_id) == (
        world.accounts["frank"],
        "MatchRequest",
        row.id,
    )


def test_staff_see_what_agrees_and_who_was_shown_is_on_record(world: World, ehr: Registry) -> None:
    case = look(world, ehr, ask(world))
    assert (case.account, case.asked) == ("Nora", TYPED)
    told = [(one.candidate.fhir_id, one.name, one.born, one.phone, one.prescription) for one in case.found]
    assert told == [("nora", "yes", "yes", "yes", "yes"), ("norah", "yes", "yes", "unknown", "no")]
    assert [one.candidate.look_alike for one in case.found] == [True, True]
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent).where(AuditEvent.action == "patient.looked-up"))
        assert sorted(str(row.entity_id) for row in rows) == sorted([case.row.id, "nora", "norah"])


def test_a_single_letter_does_not_agree_with_a_name(world: World, ehr: Registry) -> None:
    case = look(world, ehr, ask(world, asked=replace(TYPED, name="N H")))
    assert {one.name for one in case.found} == {"no"}
    ehr.people = [replace(NORA, full_name="Nora O", family="O")]
    (found,) = look(world, ehr, ask(world, asked=replace(TYPED, name="Nora O"))).found
    assert found.name == "yes"


def test_what_the_ehr_cannot_look_for_is_not_called_wrong(world: World, ehr: Registry) -> None:
    ehr.holders = None
    case = look(world, ehr, ask(world, asked=replace(TYPED, phone="")))
    assert {one.prescription for one in case.found} == {"unknown"}


def test_a_yes_joins_begins_care_and_tells_without_content(world: World, ehr: Registry) -> None:
    request = ask(world)
    assert world.actor("nora").acting == ()
    confirm(world, ehr, request)
    ((acting),) = world.actor("nora").acting
    row = row_of(world, request)
    assert (asking.state_of(row), row.asked) == (State.CONFIRMED, None)
    with world.database.reading() as session:
        assert care.in_care(session, patient_id=acting.patient_id, pharmacy_id="riverside")
        assert care.history(session, [acting.patient_id])[acting.patient_id][0].source == "matched"
        jobs = session.scalars(select(OutboxJob.payload).where(OutboxJob.kind == asking.ANSWER_JOB)).all()
        # What undoes an invitation undoes this too.
        used = session.scalars(select(Invitation)).one()
    assert jobs == [{"account": world.accounts["nora"]}]
    assert (used.used_by, used.created_by) == (world.accounts["nora"], world.accounts["bob"])
    assert acts(world) == ["match.asked", "match.confirmed"]
    with pytest.raises(Conflict):
        confirm(world, ehr, request, "norah")


def test_a_no_says_nothing_but_no(world: World) -> None:
    request = ask(world)
    decline(world, request)
    row = row_of(world, request)
    assert (asking.state_of(row), row.reason, row.asked) == (State.DECLINED, "not-sure", None)
    assert world.actor("nora").acting == ()
    with pytest.raises(Conflict):
        decline(world, request)


def test_who_has_an_account_or_is_somebody_else_already_is_not_joined(world: World, ehr: Registry) -> None:
    ehr.people.append(replace(NORA, id="alice"))
    request = ask(world)
    with pytest.raises(Conflict):
        confirm(world, ehr, request, "alice")
    with pytest.raises(NotFound):
        confirm(world, ehr, request, "nobody")
    of_dave = ask(world, "dave")
    with pytest.raises(Conflict):
        confirm(world, ehr, of_dave, "nora")
    assert asking.state_of(row_of(world, of_dave)) is State.WAITING
    with world.database.reading() as session:
        assert patients.known_as(session, connection_id="riverside-ehr", fhir_id="nora") is None


def test_a_request_is_taken_back_replaced_or_runs_out_and_its_words_go(world: World) -> None:
    first = ask(world)
    second = ask(world, asked=replace(TYPED, name="Nora B Hall"))
    assert asking.state_of(row_of(world, first)) is State.WITHDRAWN
    with world.database.transaction() as session:
        with pytest.raises(NotFound):
            asking.withdraw(session, actor=world.actor("dave"), request_id=second)
        asking.withdraw(session, actor=world.actor("nora"), request_id=second)
        with pytest.raises(Conflict):
            asking.withdraw(session, actor=world.actor("nora"), request_id=second)
    third = ask(world)
    clock.shift(asking.LIVES + timedelta(minutes=1))
    with world.database.transaction() as session:
        asking.forget_typed(session)
        states = [asking.state_of(row) for row in asking.own(session, actor=world.actor("nora"))]
    assert states == [State.EXPIRED, State.WITHDRAWN, State.WITHDRAWN]
    assert [row_of(world, one).asked for one in (first, second, third)] == [None, None, None]
    with pytest.raises(Conflict):
        decline(world, third)


def test_an_account_and_an_address_ask_so_often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(asking.MOST_OF_ACCOUNT):
        ask(world)
    with pytest.raises(TooMany):
        ask(world)
    clock.shift(timedelta(days=1, minutes=1))
    ask(world)
    monkeypatch.setattr(asking, "MOST_OF_ADDRESS", 2)
    ask(world, "dave")
    with pytest.raises(TooMany):
        ask(world, "rosa")


@pytest.mark.parametrize(
    ("changed", "field_name"),
    [
        ({"name": " - "}, "name"),
        ({"name": "N" * 121}, "name"),
        ({"born": "1974-02-30"}, "day"),
        ({"born": "2999-01-01"}, "day"),
        ({"prescription": "", "phone": ""}, "prescription"),
        ({"phone": "5" * 41}, "phone"),
    ],
)
def test_what_is_missing_is_named(world: World, changed: dict[str, str], field_name: str) -> None:
    with pytest.raises(BadInput) as refused:
        ask(world, asked=replace(TYPED, **changed))
    assert refused.value.extra == {"field": field_name}


def test_only_patients_ask_and_only_the_pharmacy_looks(world: World, ehr: Registry) -> None:
    for by in ("bob", "ivan"):
        with pytest.raises(Forbidden):
            ask(world, by)
    # Harbor has no team yet, and is not offered.
    with pytest.raises(NotFound):
        ask(world, pharmacy="harbor")
    request = ask(world)
    for by, error in (("heidi", Forbidden), ("carol", NotFound), ("nora", NotFound), ("ivan", NotFound)):
        with pytest.raises(error):
            look(world, ehr, request, by)
        with pytest.raises(error):
            confirm(world, ehr, request, by=by)
        with pytest.raises(error):
            decline(world, request, by)
    with world.database.reading() as session, pytest.raises(NotFound):
        asking.waiting(session, actor=world.actor("carol"), pharmacy_id="riverside", sealing=BOX)


def test_words_under_a_key_that_is_gone_are_not_guessed(world: World, ehr: Registry) -> None:
    request = ask(world)
    other: SecretsBox = asking.box(("x" * 32,))
    with world.database.reading() as session:
        rows, _ = asking.waiting(session, actor=world.actor("bob"), pharmacy_id="riverside", sealing=other)
    assert rows == []
    assert look(world, ehr, request).asked == TYPED


def test_the_mail_says_that_there_is_an_answer(world: World) -> None:
    sent: list[Mail] = []

    class Post:
        def send(self, mail: Mail) -> None:
            sent.append(mail)

    notice = asking.AnswerNotice(world.database, Post(), "https://portal.example")  # type: ignore[arg-type]
    job = Job("j", asking.ANSWER_JOB, {"account": world.accounts["nora"]}, None, 1, clock.now())
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["nora"]).email_verified = False
    notice(job)
    assert sent == []
    with world.database.transaction() as session:
        account = session.get_one(Account, world.accounts["nora"])
        account.email, account.email_verified = "nora@example.org", True
    notice(job)
    assert "/login?next=/match" in sent[0].text
    assert "Riverside" not in sent[0].text
