"""An account without a patient joins its record: Nina has an account, and Riverside gave her a code."""

import re
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from world import World, add_account, build
from world_web import ORIGIN, Browser, portal_app

from portal.accounts import invitations
from portal.accounts.roles import Role
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings
from portal.ehr.errors import DownReason, EhrNotFound, EhrUnavailable
from portal.ehr.model import Patient
from portal.pharmacies import care

BORN = {"day": "9", "month": "3", "year": "1974"}
NINA = Patient("nina", "Nina Hall", "Hall", "Nina", "1974-03-09", "female", (), True, False)


@dataclass
class PeopleEhr:
    """An EHR that knows people, and counts how often it is asked."""

    people: dict[str, Patient] = field(default_factory=lambda: {"nina": NINA})
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def reader(self, address: object) -> "PeopleEhr":
        return self

    def patient(self, fhir_id: str) -> Patient:
        self.asked.append(fhir_id)
        if self.down:
            raise EhrUnavailable(DownReason.TIMEOUT)
        if fhir_id not in self.people:
            raise EhrNotFound(404)
        return self.people[fhir_id]


@pytest.fixture
def ehr() -> PeopleEhr:
    return PeopleEhr()


@pytest.fixture
def world(database: Database) -> World:
    made = build(database)
    with database.transaction() as session:
        made.accounts["nina"] = add_account(session, "nina", Role.PATIENT)
    return made


@pytest.fixture
def app(settings: Settings, database: Database, ehr: PeopleEhr, world: World) -> Flask:
    return portal_app(settings, database, ehr=ehr)


@pytest.fixture
def nina(app: Flask, world: World) -> Browser:
    return Browser(app, world, "nina")


def code_for(world: World, fhir_id: str = "nina") -> str:
    with world.database.transaction() as session:
        _, code = invitations.invite(
            session,
            actor=world.actor("bob"),
            pharmacy_id="riverside",
            connection_id="riverside-ehr",
            fhir_id=fhir_id,
        )
    return code


def submit(browser: Browser, code: str, **fields: str) -> Any:
    sent = {"csrf_token": browser.csrf, "code": code, **BORN, **fields}
    return browser.client.post("/invitation", data=sent, headers={"Origin": ORIGIN, "Sec-Fetch-Mode": "navigate"})


def test_home_leads_to_the_form_and_the_code_joins_and_begins_the_care(
    nina: Browser, world: World, database: Database
) -> None:
    assert 'href="/invitation"' in nina.client.get("/home").get_data(as_text=True)
    form = nina.client.get("/invitation").get_data(as_text=True)
    assert "+1 555 0100" in form
    typed = code_for(world).lower().replace("-", " ")
    done = submit(nina, typed)
    assert (done.status_code, done.headers["Location"]) == (303, "/home?joined=1")
    patient_id = nina.state()["patients"][0]["patient"]
    with database.reading() as session:
        assert care.in_care(session, patient_id=patient_id, pharmacy_id="riverside")
        acts = set(session.scalars(select(AuditEvent.action).where(AuditEvent.patient_id == patient_id)))
    assert acts >= {"relation.bound", "invitation.redeemed", "care.started", "ehr.fetched"}


def test_unknown_used_expired_and_foreign_codes_and_wrong_birth_dates_get_one_answer(
    nina: Browser, world: World, ehr: PeopleEhr, app: Flask
) -> None:
    pages = []
    used = code_for(world)
    assert submit(nina, used).status_code == 303
    good = code_for(world)
    other = Browser(app, world, "dave")
    other.client.environ_base["REMOTE_ADDR"] = "192.0.2.77"
    for code, born in ((good, {"day": "10"}), ("ABCD-EFGH-JKMN-PQRS", {}), (used, {})):
        before = len(ehr.asked)
        refused = submit(other, code, **born)
        assert refused.status_code == 422
        assert len(ehr.asked) == before + 1
        page = refused.get_data(as_text=True).replace(code, "CODE").replace('value="10"', 'value="9"')
        pages.append(re.sub(r'name="csrf_token" value="[^"]*"', "", page))
    assert len(set(pages)) == 1
    with clock.frozen(clock.now() + timedelta(days=8)):
        late = Browser(app, world, "alice")
        late.client.environ_base["REMOTE_ADDR"] = "192.0.2.78"
        assert submit(late, good).status_code == 422


def test_after_five_tries_the_door_closes_and_sessions_go_on(nina: Browser, app: Flask, world: World) -> None:
    code = code_for(world)
    for _ in range(5):
        assert submit(nina, code, day="11").status_code == 422
    closed = submit(nina, code)
    assert closed.status_code == 429
    assert "Wait a day" in closed.get_data(as_text=True)
    assert 15 * 60 < int(closed.headers["Retry-After"]) <= 24 * 60 * 60
    # Somebody else at the same address waits, but not for a day.
    other = submit(nina, "AAAA-BBBB-CCCC-DDDD")
    assert "Wait 15 minutes" in other.get_data(as_text=True)
    assert 0 < int(other.headers["Retry-After"]) <= 15 * 60
    assert nina.get("/api/pharmacies").status_code == 200
    with clock.frozen(clock.now() + timedelta(hours=25)):
        assert submit(Browser(app, world, "nina"), code).status_code == 303


def test_an_ehr_that_is_down_spends_no_try(nina: Browser, world: World, ehr: PeopleEhr) -> None:
    code = code_for(world)
    ehr.down = True
    for _ in range(7):
        page = submit(nina, code)
        assert page.status_code == 503
        assert "+1 555 0100" in page.get_data(as_text=True)
    ehr.down = False
    assert submit(nina, code).status_code == 303


@pytest.mark.parametrize(
    "change", [{"deceased": True}, {"active": False}, {"birth_date": "1974"}, {"replaced_by": "x"}]
)
def test_a_record_that_is_closed_or_has_no_whole_birth_date_is_not_joined(
    nina: Browser, world: World, ehr: PeopleEhr, change: dict[str, Any]
) -> None:
    ehr.people["nina"] = replace(NINA, **change)
    assert submit(nina, code_for(world)).status_code == 422
    assert nina.state()["patients"] == []


@pytest.mark.parametrize("month", ["03", "march", "Mar.", "marzo"])
def test_a_month_may_be_typed_as_a_word(nina: Browser, world: World, month: str) -> None:
    assert submit(nina, code_for(world), month=month).status_code == 303


@pytest.mark.parametrize(
    "fields",
    [
        {"day": "31", "month": "2"},
        {"year": "3020"},
        {"year": ""},
        {"day": "x"},
        {"month": "¹"},
        {"month": "ma"},
        {"month": "marzoo"},
        {"year": "1700"},
    ],
)
def test_a_date_that_is_none_is_said_beside_the_field_and_costs_no_try(
    nina: Browser, world: World, ehr: PeopleEhr, fields: dict[str, str]
) -> None:
    page = submit(nina, code_for(world), **fields)
    assert page.status_code == 422
    assert 'id="day-error"' in page.get_data(as_text=True)
    assert ehr.asked == []
    assert date(1974, 3, 9).isoformat() not in page.get_data(as_text=True)


def test_staff_have_no_business_there(app: Flask, world: World) -> None:
    bob = Browser(app, world, "bob")
    assert bob.get("/invitation").status_code == 403
    assert submit(bob, "ABCD").status_code == 403


def test_the_card_leads_to_the_login_and_back_without_its_code(app: Flask, world: World, nina: Browser) -> None:
    stranger = app.test_client()
    page = stranger.get("/join?at=riverside&language=es")
    text = page.get_data(as_text=True)
    assert 'lang="es"' in text
    assert "Riverside Pharmacy le invita" in text
    assert 'href="/login?next=%2Finvitation%3Fat%3Driverside"' in text
    kept = {cookie.split("=")[0]: cookie for cookie in page.headers.getlist("Set-Cookie")}
    assert {"portal_language", "portal_pharmacy"} <= kept.keys()
    # A language that somebody has chosen stays.
    assert 'lang="es"' in stranger.get("/join?language=en").get_data(as_text=True)
    assert 'href="/invitation?at=riverside"' in nina.get("/join", at="riverside").get_data(as_text=True)
    assert "Your invitation is from Riverside Pharmacy." in nina.get("/invitation", at="riverside").get_data(
        as_text=True
    )
    assert "Your invitation is from" not in nina.get("/invitation", at="nowhere").get_data(as_text=True)
    assert "signed in as a member of staff" in Browser(app, world, "bob").get("/join").get_data(as_text=True)
