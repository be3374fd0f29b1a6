"""Bob lets Judy act for Ann, who has no account, on a Consent of the EHR or a paper; it ends when that does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from at_once import all_at_once, at_once, codes
from ehr_fakes import FakeEhr, context_of
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from world import World, build
from world_routes import statements

from portal.accounts import carer_invitations, carers, consents, relations, stops
from portal.accounts.actor import Actor
from portal.accounts.carer_invitations import Newcomer
from portal.accounts.carers import Circumstances
from portal.accounts.roles import Kind, Scope
from portal.accounts.tables import Account, CarerConsent, CarerInvitation, Relation
from portal.audit import Agent
from portal.audit.tables import AuditEvent
from portal.care import consenting
from portal.care.consenting import SeenPaper
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, StepUpNeeded, Unavailable, Unprocessable
from portal.ehr.consents import Grant, WhyNot
from portal.ehr.errors import DownReason, EhrUnavailable
from portal.outbox.tables import OutboxJob
from portal.pharmacies import care

JUDY = Newcomer("", None, "", "refills")
NO_PAPER = SeenPaper("", None)
GRANT = Grant("c1", "1", "RelatedPerson/judy", "Judy Hall", "carer", "refills", None, "2026-03-01", WhyNot.NO)
HERS = consenting.key_of(GRANT)


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def ehr() -> FakeEhr:
    known = FakeEhr({name: context_of(name) for name in ("alice", "ann", "dave", "nora")})
    known.grants = dict.fromkeys(("alice", "ann", "nora"), (GRANT,))
    return known


def invite(
    world: World, ehr: FakeEhr, by: str = "bob", whose: str = "ann", chosen: str = HERS, **more: Any
) -> tuple[str, str | None]:
    return consenting.invite(
        world.database,
        ehr,
        actor=world.actor(by, **more.pop("login", {})),
        pharmacy_id="riverside",
        fhir_id=whose,
        newcomer=more.pop("newcomer", JUDY),
        chosen=chosen,
        seen=more.pop("seen", NO_PAPER),
        otherwise_of_age=18,
    )


def accept(world: World, made: tuple[str, str | None]) -> str:
    with world.database.transaction() as session:
        judy = world.actor("judy")
        relation = carer_invitations.accept(session, actor=judy, invitation_id=made[0], code=made[1])
        consenting.begin_care(session, actor=judy, invitation_id=made[0])
        return relation.id


def scope_of(world: World, whose: str = "ann") -> str | None:
    relation = world.actor("judy").relation(world.patients[whose])
    return relation.scope if relation is not None else None


def consent(world: World) -> CarerConsent:
    with world.database.reading() as session:
        return session.scalars(select(CarerConsent).order_by(CarerConsent.seen_at.desc())).first()  # type: ignore[return-value]


def look(world: World, ehr: FakeEhr, by: str = "bob", whose: str = "ann") -> consenting.Look:
    return consenting.look(world.database, ehr, actor=world.actor(by), pharmacy_id="riverside", fhir_id=whose)


def recorded(world: World, action: str) -> list[tuple[str | None, dict[str, Any]]]:
    with world.database.reading() as session:
        rows = session.scalars(select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.seq))
        return [(row.patient_id, dict(row.detail or {})) for row in rows]


def test_judy_is_let_in_on_a_consent_of_the_ehr_whose_reference_stays_with_the_relation_and_the_record(
    world: World, ehr: FakeEhr
) -> None:
    accept(world, invite(world, ehr))
    assert scope_of(world) == "refills"
    row = consent(world)
    assert (row.fhir_id, row.person, row.kind, row.seen_by) == (
        "c1",
        "RelatedPerson/judy",
        "carer",
        world.accounts["bob"],
    )
    with world.database.reading() as session:
        (relation,) = relations.live(session, patient_id=world.patients["ann"])
        assert relation.consent_id == row.id
    ((patient, detail),) = recorded(world, "carer.invited")
    assert (patient, detail["consent"], detail["version"]) == (world.patients["ann"], "Consent/c1", "1")
    assert [one[1]["query"] for one in recorded(world, "ehr.fetched")] == ["consents"]
    (held,) = look(world, ehr).held
    assert (held.names, held.scope, held.waits) == (("Judy",), "refills", None)


def test_nobody_gets_more_or_for_longer_than_the_consent_says(world: World, ehr: FakeEhr) -> None:
    with pytest.raises(BadInput) as refused:
        invite(world, ehr, newcomer=replace(JUDY, scope="messages"))
    assert refused.value.extra["field"] == "scope"
    last = clock.now().date() + timedelta(days=20)
    ehr.grants = {"ann": (replace(GRANT, last_day=last),)}
    far = replace(JUDY, last_day=last + timedelta(days=100))
    accept(world, invite(world, ehr, newcomer=far))
    with world.database.reading() as session:
        (relation,) = relations.live(session, patient_id=world.patients["ann"])
        assert relation.ends_at == consent(world).ends_at
    clock.shift(timedelta(days=22))
    assert scope_of(world) is None


def test_alice_is_told_and_ends_it_herself_and_cannot_widen_it_beyond_the_consent(world: World, ehr: FakeEhr) -> None:
    made = invite(world, ehr, whose="alice")
    with world.database.reading() as session:
        told = [job.payload["account"] for job in session.scalars(select(OutboxJob)) if job.kind == carers.NOTICE_JOB]
        assert told == [world.accounts["alice"]]
        (waiting,) = carer_invitations.invited(session, actor=world.actor("alice"), patient_id=world.patients["alice"])
        assert waiting.consent_id is not None
    with world.database.transaction() as session, pytest.raises(NotFound):
        carer_invitations.send_again(session, actor=world.actor("alice"), invitation_id=made[0])
    relation = accept(world, made)
    here = carers.Circumstances(zone="UTC", of_age=18, born=None)
    with world.database.transaction() as session, pytest.raises(BadInput):
        carers.change(
            session, actor=world.actor("alice"), relation_id=relation, scope="messages", last_day=None, where=here
        )
    with world.database.reading() as session:
        (access,) = carers.acting(session, actor=world.actor("alice"), patient_id=world.patients["alice"])
        assert access.pharmacy_id == "riverside"
    with world.database.transaction() as session:
        carers.end(session, actor=world.actor("alice"), relation_id=relation)
    assert scope_of(world, "alice") is None


@pytest.mark.parametrize(
    "now_says",
    [
        (),
        (replace(GRANT, why_not=WhyNot.OVER),),
        (replace(GRANT, person="RelatedPerson/mallory"),),
        (replace(GRANT, step="orders"),),
        (replace(GRANT, kind="parent"),),
        (replace(GRANT, last_day=date(2026, 12, 1)),),
    ],
)
@pytest.mark.parametrize("by", ["staff", "worker"])
def test_what_does_not_stand_on_the_next_look_ends_what_hangs_on_it(
    world: World, ehr: FakeEhr, now_says: tuple[Grant, ...], by: str
) -> None:
    accept(world, invite(world, ehr))
    waiting = invite(world, ehr)
    ehr.grants = {"ann": now_says}
    if by == "staff":
        # Looking changes nothing and says so; asking anew ends it.
        assert [one.stands for one in look(world, ehr).held] == [False, False]
        assert scope_of(world) == "refills"
        consenting.settle(world.database, ehr, actor=world.actor("bob"), pharmacy_id="riverside", fhir_id="ann")
        assert look(world, ehr).held == ()
    else:
        assert consenting.ask_again(world.database, ehr) == 0
        clock.shift(consenting.ASK_EVERY)
        assert consenting.ask_again(world.database, ehr) == 2
    assert scope_of(world) is None
    with pytest.raises(Unprocessable):
        accept(world, waiting)
    assert len(recorded(world, "carer.consent-ended")) == 2
    # The code that nobody has used is on record as taken back, once.
    ((whose, taken),) = recorded(world, "carer.uninvited")
    assert (whose, taken["consent"]) == (world.patients["ann"], "Consent/c1")
    assert look(world, ehr).held == ()


def test_an_ehr_that_is_down_ends_nothing_until_it_was_silent_for_a_week(world: World, ehr: FakeEhr) -> None:
    accept(world, invite(world, ehr))
    ehr.down = True
    # The worker stood still for a while: that nobody asked is no silence of the EHR.
    clock.shift(timedelta(days=8))
    assert consenting.ask_again(world.database, ehr) == 1
    clock.shift(timedelta(days=6))
    assert consenting.ask_again(world.database, ehr) == 1
    assert scope_of(world) == "refills"
    seen = look(world, ehr)
    assert (seen.who, seen.down, len(seen.held)) == (None, True, 1)
    with pytest.raises(EhrUnavailable):
        invite(world, ehr)
    clock.shift(timedelta(days=1))
    assert consenting.ask_again(world.database, ehr) == 1
    assert scope_of(world) is None
    assert consenting.ask_again(world.database, ehr) == 0


def test_a_no_about_somebody_who_is_not_shown_lets_nobody_in_and_parts_nobody(world: World, ehr: FakeEhr) -> None:
    accept(world, invite(world, ehr))
    ehr.grants = {"ann": (replace(GRANT, why_not=WhyNot.UNSURE),)}
    with pytest.raises(Unprocessable):
        invite(world, ehr)
    for _ in range(9):
        clock.shift(timedelta(days=1))
        assert consenting.ask_again(world.database, ehr) == 1
    assert scope_of(world) == "refills"
    (held,) = look(world, ehr).held
    assert held.stands


def test_an_ehr_that_does_not_show_judy_is_silent_about_her_alone(world: World, ehr: FakeEhr) -> None:
    accept(world, invite(world, ehr))
    ehr.grants = {"ann": (replace(GRANT, why_not=WhyNot.UNSHOWN), replace(GRANT, person="RelatedPerson/bob"))}
    with pytest.raises(Unprocessable):
        invite(world, ehr)
    assert consent(world).silent_at is None
    clock.shift(timedelta(hours=7))
    assert consenting.ask_again(world.database, ehr) == 1
    clock.shift(timedelta(days=6))
    assert consenting.ask_again(world.database, ehr) == 1
    consenting.settle(world.database, ehr, actor=world.actor("bob"), pharmacy_id="riverside", fhir_id="ann")
    assert scope_of(world) == "refills"
    clock.shift(timedelta(days=1))
    assert consenting.ask_again(world.database, ehr) == 1
    assert scope_of(world) is None
    assert recorded(world, "carer.consent-ended")[0][1]["why"] == "unconfirmed"


@pytest.mark.parametrize("unclear", [WhyNot.UNSURE, WhyNot.UNSHOWN])
def test_a_code_that_is_out_lets_nobody_in_while_it_is_not_clear_who_that_is(
    world: World, ehr: FakeEhr, unclear: WhyNot
) -> None:
    made = invite(world, ehr)
    ehr.grants = {"ann": (replace(GRANT, why_not=unclear),)}
    assert [one.stands for one in look(world, ehr).held] == [False]
    clock.shift(timedelta(days=1))
    assert consenting.ask_again(world.database, ehr) == 1
    with pytest.raises(Unprocessable):
        accept(world, made)
    assert scope_of(world) is None


def test_a_paper_needs_its_kind_its_day_and_an_end_within_a_year(world: World, ehr: FakeEhr) -> None:
    ehr.grants = None
    today = clock.now().date()
    parent = Newcomer("Judy Hall", None, "carer", "messages", last_day=today + timedelta(days=300))
    seen = SeenPaper("power-of-attorney", date(2020, 5, 1))
    for field, wrong in (
        ("paper", {"seen": SeenPaper("", date(2020, 5, 1))}),
        ("dated", {"seen": replace(seen, dated=None)}),
        ("dated", {"seen": replace(seen, dated=today + timedelta(days=2))}),
        ("kind", {"newcomer": replace(parent, kind="self")}),
        ("last_day", {"newcomer": replace(parent, last_day=None)}),
        ("last_day", {"newcomer": replace(parent, last_day=today + timedelta(days=400))}),
        ("name", {"newcomer": replace(parent, name="")}),
    ):
        with pytest.raises(BadInput) as refused:
            invite(world, ehr, chosen="", **{"newcomer": parent, "seen": seen, **wrong})
        assert refused.value.extra["field"] == field
    accept(world, invite(world, ehr, chosen="", newcomer=parent, seen=seen))
    ((_, detail),) = recorded(world, "carer.invited")
    assert detail["consent"] == "paper/power-of-attorney"
    assert (detail["dated"], detail["seen"]) == ("2020-05-01", world.accounts["bob"])
    clock.shift(timedelta(days=200))
    assert consenting.ask_again(world.database, ehr) == 0
    assert scope_of(world) == "messages"


def test_a_parent_acts_until_the_child_comes_of_age(world: World, ehr: FakeEhr) -> None:
    child = context_of("ann")
    born = clock.now().date().replace(year=clock.now().year - 17, day=1)
    ehr.contexts["ann"] = replace(child, patient=replace(child.patient, birth_date=born.isoformat()))
    ehr.grants = {"ann": (replace(GRANT, kind="parent"),)}
    accept(world, invite(world, ehr))
    with world.database.reading() as session:
        (relation,) = relations.live(session, patient_id=world.patients["ann"])
        assert (relation.kind, relation.by_age) == (Kind.PARENT, True)


@pytest.mark.parametrize(("by", "error"), [("frank", Forbidden), ("heidi", Forbidden), ("carol", NotFound)])
def test_only_pharmacists_and_supervisors_of_the_pharmacy(
    world: World, ehr: FakeEhr, by: str, error: type[Exception]
) -> None:
    invite(world, ehr, by="grace")
    row = consent(world)
    for act in (
        lambda: invite(world, ehr, by=by),
        lambda: look(world, ehr, by=by),
    ):
        with pytest.raises(error):
            act()
    with world.database.transaction() as session, pytest.raises(error):
        consenting.end(session, actor=world.actor(by), pharmacy_id="riverside", consent_id=row.id)
    for who in ("alice", "ivan", "judy"):
        with pytest.raises(NotFound):
            look(world, ehr, by=who)


def test_it_asks_for_a_fresh_login_and_for_a_consent_that_was_shown(world: World, ehr: FakeEhr) -> None:
    with pytest.raises(StepUpNeeded):
        invite(world, ehr, login={"auth_time": clock.now() - timedelta(minutes=6)})
    ehr.grants = {"ann": (replace(GRANT, why_not=WhyNot.NARROWER),)}
    for chosen in (HERS, "c2 RelatedPerson/judy", "c1 RelatedPerson/dave"):
        with pytest.raises(Unprocessable) as refused:
            invite(world, ehr, chosen=chosen)
        assert refused.value.code == "consent-stands-not"
    assert ehr.asked


@pytest.mark.parametrize("happened", ["closed", "stopped", "ended"])
def test_a_code_opens_nothing_once_nobody_stands_for_it(world: World, ehr: FakeEhr, happened: str) -> None:
    made = invite(world, ehr)
    with world.database.transaction() as session:
        if happened == "closed":
            session.get_one(Account, world.accounts["bob"]).disabled_at = clock.now()
        elif happened == "stopped":
            stops.press(session, actor=world.actor("bob"))
        else:
            consenting.end(session, actor=world.actor("erin"), pharmacy_id="riverside", consent_id=consent(world).id)
    with pytest.raises(Unprocessable):
        accept(world, made)


def test_it_ends_with_the_pharmacys_care(world: World, ehr: FakeEhr) -> None:
    accept(world, invite(world, ehr))
    with world.database.transaction() as session:
        care.end(session, actor=world.actor("bob"), patient_id=world.patients["ann"], pharmacy_id="riverside")
    assert scope_of(world) is None
    assert recorded(world, "carer.consent-ended")[0][1]["why"] == "care-ended"


def test_what_the_patient_said_herself_stands_above_it(world: World, ehr: FakeEhr) -> None:
    with world.database.transaction() as session:
        made, code = carer_invitations.invite(
            session,
            actor=world.actor("alice"),
            patient_id=world.patients["alice"],
            newcomer=Newcomer("Judy", None, "carer", "orders"),
            where=carers.Circumstances(zone="UTC", of_age=18, born=None),
        )
        carer_invitations.accept(session, actor=world.actor("judy"), invitation_id=made, code=code)
    with pytest.raises(Conflict) as refused:
        accept(world, invite(world, ehr, whose="alice"))
    assert refused.value.code == "carer-helps-already"
    assert scope_of(world, "alice") == "orders"


def test_a_child_whom_the_portal_does_not_know_comes_into_care_with_the_yes(world: World, ehr: FakeEhr) -> None:
    made = invite(world, ehr, whose="nora")
    with world.database.reading() as session:
        (row,) = session.scalars(select(CarerConsent))
        assert not care.in_care(session, patient_id=row.patient_id, pharmacy_id="riverside")
    accept(world, made)
    with world.database.reading() as session:
        assert care.in_care(session, patient_id=row.patient_id, pharmacy_id="riverside")
        (relation,) = session.scalars(select(Relation).where(Relation.patient_id == row.patient_id))
        assert relation.account_id == world.accounts["judy"]
    assert consents.stands(row)


def test_a_pharmacy_that_the_patient_has_left_lets_nobody_in(world: World, ehr: FakeEhr) -> None:
    with world.database.transaction() as session:
        care.finish(session, actor=world.actor("alice"), patient_id=world.patients["alice"], pharmacy_id="riverside")
    with pytest.raises(Unprocessable) as refused:
        invite(world, ehr, whose="alice")
    assert refused.value.code == "consent-not-in-care"
    # A child without an account comes into care with the yes, as before.
    invite(world, ehr, whose="nora")


@pytest.mark.parametrize("kind", ["parent", "carer"])
@pytest.mark.parametrize("said_on", ["2015-03-01", "", "2015", "2026-13-45"])
def test_a_consent_of_childhood_opens_nothing_once_the_child_is_of_age(
    world: World, ehr: FakeEhr, said_on: str, kind: str
) -> None:
    grown = context_of("ann")
    born = clock.now().date().replace(year=clock.now().year - 19, day=1)
    ehr.contexts["ann"] = replace(grown, patient=replace(grown.patient, birth_date=born.isoformat()))
    ehr.grants = {"ann": (replace(GRANT, kind=kind, said_on=said_on),)}
    with pytest.raises(Unprocessable) as refused:
        invite(world, ehr)
    assert refused.value.code == "consent-stands-not"
    newcomer = replace(JUDY, name="Judy", kind="parent", last_day=clock.now().date() + timedelta(days=30))
    with pytest.raises(Unprocessable):
        invite(
            world,
            ehr,
            chosen="",
            newcomer=newcomer,
            seen=SeenPaper(consents.Paper.BIRTH.value, clock.now().date() - timedelta(days=1)),
        )
    # What was said by a grown person counts.
    ehr.grants = {"ann": (replace(GRANT, kind=kind, said_on=clock.now().date().isoformat()),)}
    invite(world, ehr)


def test_a_no_of_the_patient_ends_the_codes_as_well_and_the_same_consent_brings_nobody_back(
    world: World, ehr: FakeEhr
) -> None:
    lost = invite(world, ehr, whose="alice")
    relation = accept(world, invite(world, ehr, whose="alice"))
    with world.database.transaction() as session:
        consents.end_of_patient(session, actor=world.actor("alice"), relation_id=relation)
    assert scope_of(world, "alice") is None
    with pytest.raises(Unprocessable):
        accept(world, lost)
    with pytest.raises(Unprocessable) as refused:
        invite(world, ehr, whose="alice")
    assert refused.value.code == "consent-stands-not"
    assert {one[1]["why"] for one in recorded(world, "carer.consent-ended")} == {"patient"}
    # A new version of the old word, or another old one, is no new word of hers; what she says on a later day is.
    today = clock.now().date().isoformat()
    for old in (replace(GRANT, version="2"), replace(GRANT, consent_id="c2"), replace(GRANT, said_on=today)):
        ehr.grants = {"alice": (old,)}
        with pytest.raises(Unprocessable):
            invite(world, ehr, whose="alice", chosen=consenting.key_of(old))
    clock.shift(timedelta(days=2))
    # Nor is a day that is to come, by a slip of the pen.
    ehr.grants = {"alice": (replace(GRANT, said_on="2099-01-01"),)}
    with pytest.raises(Unprocessable):
        invite(world, ehr, whose="alice")
    ehr.grants = {"alice": (replace(GRANT, said_on=clock.now().date().isoformat()),)}
    accept(world, invite(world, ehr, whose="alice"))
    assert scope_of(world, "alice") == "refills"


def test_whoever_alice_let_in_herself_and_ends_does_not_come_back_by_a_code_of_the_pharmacy(
    world: World, ehr: FakeEhr
) -> None:
    made = invite(world, ehr, whose="alice")
    with world.database.transaction() as session:
        own = relations.bind(
            session,
            agent=Agent(None, None),
            account_id=world.accounts["judy"],
            patient_id=world.patients["alice"],
            kind=Kind.CARER,
            scope=Scope.REFILLS,
        ).id
    with world.database.transaction() as session:
        consents.end_of_patient(session, actor=world.actor("alice"), relation_id=own)
    with pytest.raises(Unprocessable) as refused:
        accept(world, made)
    assert refused.value.code == "carer-code"
    assert scope_of(world, "alice") is None
    assert [one[1]["why"] for one in recorded(world, "carer.consent-ended")] == ["patient"]


WHERE = Circumstances("UTC", 18, None)


def on_paper(world: World, ehr: FakeEhr, dated: date) -> tuple[str, str | None]:
    last = clock.now().date() + timedelta(days=100)
    newcomer = replace(JUDY, name="Judy Hall", kind="carer", last_day=last)
    seen = SeenPaper(consents.Paper.SIGNED.value, dated)
    return invite(world, ehr, whose="alice", chosen="", newcomer=newcomer, seen=seen)


def by_alice(world: World, scope: str = "refills") -> tuple[str, str | None]:
    newcomer = Newcomer("Judy", None, "carer", scope)
    with world.database.transaction() as session:
        return carer_invitations.invite(
            session, actor=world.actor("alice"), patient_id=world.patients["alice"], newcomer=newcomer, where=WHERE
        )


def end_by_alice(world: World, relation_id: str) -> None:
    with world.database.transaction() as session:
        consents.end_of_patient(session, actor=world.actor("alice"), relation_id=relation_id)


def change_by_alice(world: World, relation_id: str, scope: str) -> None:
    with world.database.transaction() as session:
        carers.change(
            session,
            actor=world.actor("alice"),
            relation_id=relation_id,
            scope=scope,
            last_day=None,
            where=WHERE,
        )


def test_whom_alice_has_ended_comes_back_by_nothing_that_was_said_before(world: World, ehr: FakeEhr) -> None:
    old, unused = clock.now().date() - timedelta(days=3), by_alice(world)
    end_by_alice(world, accept(world, by_alice(world)))
    paper, another = on_paper(world, ehr, old), invite(world, ehr, whose="alice")
    for made in (unused, paper, another):
        with world.database.reading() as session, pytest.raises(Unprocessable) as refused:
            carer_invitations.offered(session, actor=world.actor("judy"), code=made[1] or "")
        assert refused.value.code == "carer-code"
        with pytest.raises(Unprocessable) as refused:
            accept(world, made)
        assert refused.value.code == "carer-code"
    assert scope_of(world, "alice") is None
    # What was said on a day after hers, and was judged so, is another word.
    clock.shift(timedelta(days=3))
    accept(world, on_paper(world, ehr, clock.now().date() - timedelta(days=1)))
    assert scope_of(world, "alice") == "refills"


def test_alices_own_later_invitation_is_her_word_again(world: World, ehr: FakeEhr) -> None:
    end_by_alice(world, accept(world, by_alice(world)))
    accept(world, by_alice(world))
    assert scope_of(world, "alice") == "refills"


def test_what_alice_has_narrowed_no_older_code_widens(world: World, ehr: FakeEhr) -> None:
    wide, relation = by_alice(world), accept(world, by_alice(world))
    change_by_alice(world, relation, "orders")
    with pytest.raises(Unprocessable) as refused:
        accept(world, wide)
    assert refused.value.code == "carer-code"
    assert scope_of(world, "alice") == "orders"
    # What she widens again is open again.
    change_by_alice(world, relation, "refills")
    accept(world, wide)
    assert scope_of(world, "alice") == "refills"


def test_whoever_is_let_in_for_a_child_acts_until_it_is_of_age(world: World, ehr: FakeEhr) -> None:
    child = context_of("ann")
    born = clock.now().date().replace(year=clock.now().year - 17, day=1)
    ehr.contexts["ann"] = replace(child, patient=replace(child.patient, birth_date=born.isoformat()))
    accept(world, invite(world, ehr))
    with world.database.reading() as session:
        (relation,) = relations.live(session, patient_id=world.patients["ann"])
        assert relation.ends_at is not None
        assert relation.ends_at.date() - born > timedelta(days=18 * 365)
    clock.shift(timedelta(days=400))
    assert scope_of(world) is None


def test_consents_that_are_down_are_told_as_down_when_inviting(
    world: World, ehr: FakeEhr, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object, **__: object) -> None:
        raise EhrUnavailable(DownReason.TIMEOUT)

    monkeypatch.setattr(FakeEhr, "consents", silent)
    with pytest.raises(EhrUnavailable):
        invite(world, ehr)


def test_two_codes_and_a_change_at_the_same_moment_hold_up_nobody(world: World, ehr: FakeEhr) -> None:
    relation = accept(world, by_alice(world))
    with world.database.reading() as session:
        assert session.get_one(Relation, relation).scope == "refills"
    second, judy, alice = by_alice(world, "messages"), world.actor("judy"), world.actor("alice")

    def say_yes(session: Session) -> str:
        return carer_invitations.accept(session, actor=judy, invitation_id=second[0], code=second[1]).id

    def end(session: Session) -> None:
        consents.end_of_patient(session, actor=alice, relation_id=relation)

    assert set(codes(at_once(world.database, [say_yes, end]))) <= {"carer-code", "not-found"}
    asks = [lambda: invite(world, ehr), lambda: invite(world, ehr, by="erin")]
    assert codes(all_at_once(asks)) == []


def test_a_code_that_alice_takes_back_is_her_no_as_well(world: World, ehr: FakeEhr) -> None:
    made = invite(world, ehr, whose="alice")
    with world.database.transaction() as session:
        carer_invitations.revoke(session, actor=world.actor("alice"), invitation_id=made[0])
    with pytest.raises(Unprocessable):
        accept(world, made)
    assert [one[1]["why"] for one in recorded(world, "carer.consent-ended")] == ["patient"]
    assert len(recorded(world, "carer.uninvited")) == 1
    with pytest.raises(Unprocessable) as refused:
        invite(world, ehr, whose="alice")
    assert refused.value.code == "consent-stands-not"


def test_for_dave_an_invitation_of_alices_on_a_consent_is_like_one_that_never_was(world: World, ehr: FakeEhr) -> None:
    hers, _ = invite(world, ehr, whose="alice")
    dave = world.actor("dave")
    asked: dict[str, list[str]] = {}
    for which in (hers, "0" * 32):
        with statements(world.database) as seen, pytest.raises(NotFound), world.database.transaction() as session:
            carer_invitations.revoke(session, actor=dave, invitation_id=which)
        asked[which] = seen
    assert asked[hers] == asked["0" * 32]
    assert not any("carer_consent " in one for one in asked[hers])


def test_who_has_an_account_by_now_is_not_brought_into_care_by_an_old_code(world: World, ehr: FakeEhr) -> None:
    made = invite(world, ehr, whose="nora")
    with world.database.transaction() as session:
        (row,) = session.scalars(select(CarerConsent))
        dave = world.accounts["dave"]
        relations.bind(session, agent=Agent(None, None), account_id=dave, patient_id=row.patient_id, kind=Kind.SELF)
    with pytest.raises(Unprocessable) as refused:
        accept(world, made)
    assert refused.value.code == "carer-code"
    with world.database.reading() as session:
        assert not care.in_care(session, patient_id=row.patient_id, pharmacy_id="riverside")


def test_what_rests_on_another_ehr_is_not_judged_by_this_one(world: World, ehr: FakeEhr) -> None:
    accept(world, invite(world, ehr))
    with world.database.transaction() as session:
        session.execute(update(CarerConsent).values(connection_id="0" * 32))
    ehr.grants = {"ann": ()}
    consenting.settle(world.database, ehr, actor=world.actor("bob"), pharmacy_id="riverside", fhir_id="ann")
    assert [one.stands for one in look(world, ehr).held] == [True]
    assert scope_of(world) == "refills"


def test_a_yes_and_two_ends_at_the_same_moment_leave_nobody_in_and_one_row_each(world: World, ehr: FakeEhr) -> None:
    judy, bob, erin = world.actor("judy"), world.actor("bob"), world.actor("erin")
    for _ in range(3):
        made, row = invite(world, ehr), consent(world)

        def say_yes(session: Session, made: tuple[str, str | None] = made) -> str:
            return carer_invitations.accept(session, actor=judy, invitation_id=made[0], code=made[1]).id

        def stop(by: Actor, row: CarerConsent = row) -> Callable[[Session], str | None]:
            return lambda session: consenting.end(session, actor=by, pharmacy_id="riverside", consent_id=row.id)

        refused = codes(at_once(world.database, [say_yes, stop(bob), stop(erin)]))
        assert set(refused) <= {"carer-code", "not-found"}, refused
        assert refused.count("not-found") == 1
        assert scope_of(world) is None
        clock.shift(timedelta(seconds=1))
    assert len(recorded(world, "carer.consent-ended")) == 3
    with world.database.reading() as session:
        live = select(CarerInvitation).where(*consents.is_open(clock.now()))
        assert session.scalars(live).all() == []


def test_one_answer_that_makes_no_sense_does_not_keep_the_others_from_being_asked(
    world: World, ehr: FakeEhr, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(world, invite(world, ehr))
    clock.shift(timedelta(minutes=1))
    invite(world, ehr, whose="alice")

    def consents_of(fhir_id: str, *, today: date) -> tuple[Grant, ...]:
        if fhir_id == "ann":
            raise OverflowError("date value out of range")
        return ()

    monkeypatch.setattr(ehr, "consents", consents_of)
    clock.shift(timedelta(hours=7))
    assert consenting.ask_again(world.database, ehr) == 2
    assert scope_of(world) == "refills"
    assert [one[0] for one in recorded(world, "carer.consent-ended")] == [world.patients["alice"]]


def test_trouble_of_our_own_database_is_no_silence_of_the_ehr(
    world: World, ehr: FakeEhr, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(world, invite(world, ehr))
    clock.shift(timedelta(days=8))
    with monkeypatch.context() as down:

        def gone(*_: object) -> None:
            raise Unavailable("database-down")

        down.setattr(consenting, "_today", gone)
        with pytest.raises(Unavailable):
            consenting.ask_again(world.database, ehr)
    assert scope_of(world) == "refills"
    consenting.ask_again(world.database, ehr)
    assert scope_of(world) == "refills"
