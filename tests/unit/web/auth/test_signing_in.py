"""Alice and Bob sign in, step up and sign out; strangers, the wrong role and a copied cookie get nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import Browser, location
from flask import Flask
from misbehaving import MisbehavingProvider
from sqlalchemy import select, update
from world import World

from portal.accounts import notices
from portal.accounts.tables import Account, Relation
from portal.audit import Agent
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity import flask_session, sessions
from portal.identity.session_life import EndedBy
from portal.identity.tables import LoginSession
from portal.outbox.tables import OutboxJob

NewBrowser = Callable[[], Browser]
OPERATOR = Agent(None, "operator")


def actions(database: Database) -> list[str]:
    """What the record says, oldest first."""
    with database.reading() as session:
        return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.recorded)))


def test_alice_signs_in_and_lands_where_she_wanted_to_go(
    new_browser: NewBrowser, world: World, database: Database
) -> None:
    mine = new_browser()
    answer = mine.sign_in("alice", start="/login?next=/messages")
    assert location(answer) == "/messages"
    said = mine.session()
    assert said["state"] == "active"
    assert said["account"]["id"] == world.accounts["alice"]
    assert said["account"]["role"] == "patient"
    assert said["patients"] == [
        {
            "patient": world.patients["alice"],
            "kind": "self",
            "scope": "all",
            "account": world.accounts["alice"],
            "name": said["account"]["name"],
        }
    ]
    assert said["device"] is None
    assert len(said["device_challenge"]) == 43
    assert said["warn_before"] == 120
    assert "login.succeeded" in actions(database)


def test_a_stranger_is_told_nothing_and_gets_no_row(new_browser: NewBrowser, database: Database) -> None:
    said = new_browser().session()
    assert (said["state"], said["account"], said["patients"]) == ("anonymous", None, [])
    with database.reading() as session:
        assert session.scalars(select(LoginSession)).all() == []


def test_the_cookie_is_hidden_from_scripts_and_known_to_the_database_only_as_a_hash(
    new_browser: NewBrowser, database: Database
) -> None:
    mine = new_browser()
    answer = mine.sign_in("alice")
    header = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith("portal_session="))
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Path=/" in header
    assert "Secure" not in header
    assert mine.cookie is not None
    assert len(mine.cookie) >= 43
    with database.reading() as session:
        row = session.scalars(select(LoginSession)).one()
        assert mine.cookie not in str(vars(row))
        assert row.id_token is not None
        assert b"alice" not in row.id_token


def test_over_tls_the_cookie_has_the_host_prefix(settings: Settings) -> None:
    assert flask_session.cookie_name("portal_session", settings) == "portal_session"
    secure = replace(settings, base_url="https://portal.example")
    assert flask_session.cookie_name("portal_session", secure) == "__Host-portal_session"


def test_a_planted_cookie_is_not_taken_over(new_browser: NewBrowser) -> None:
    mine = new_browser()
    mine.client.set_cookie("portal_session", "planted-by-mallory-0123456789abcdefghijklmnop")
    mine.sign_in("alice")
    assert mine.cookie is not None
    assert not mine.cookie.startswith("planted")


def test_the_cookie_changes_at_step_up_and_the_old_one_is_dead(alice: Browser) -> None:
    before = alice.cookie
    assert before is not None
    ref = alice.client.get("/api/sessions").get_json()["items"][0]["ref"]
    assert location(alice.sign_in("alice", start="/step-up?next=/account")) == "/account"
    assert alice.cookie != before
    assert alice.with_cookie(before).session()["state"] == "anonymous"
    assert alice.client.get("/api/sessions").get_json()["items"][0]["ref"] == ref


def test_step_up_as_somebody_else_is_refused_and_changes_nothing(
    alice: Browser, world: World, database: Database
) -> None:
    before = alice.cookie
    with database.reading() as session:
        came = session.scalars(select(Account.last_login_at).where(Account.subject == "dave")).one()
    page = alice.sign_in("dave", start="/step-up?next=/account/devices")
    assert page.status_code == 403
    assert "Somebody else signed in" in page.get_data(as_text=True)
    assert 'href="/step-up?next=%2Faccount%2Fdevices"' in page.get_data(as_text=True)
    assert (alice.cookie, alice.session()["account"]["id"]) == (before, world.accounts["alice"])
    with database.reading() as session:
        assert session.scalars(select(Account.last_login_at).where(Account.subject == "dave")).one() == came
    # A stranger without an account gets none by this.
    assert alice.sign_in("mallory", start="/step-up").status_code == 403
    with database.reading() as session:
        assert session.scalar(select(Account.id).where(Account.subject == "mallory")) is None


def test_step_up_and_unlock_say_for_whom(alice: Browser, database: Database) -> None:
    with database.transaction() as session:
        session.execute(
            update(Account).where(Account.subject == "alice").values(email="alice@example.test", language="es")
        )
    for path in ("/step-up", "/unlock"):
        asked = parse_qs(urlsplit(alice.client.get(path).headers["Location"]).query)
        assert (asked["login_hint"], asked["ui_locales"]) == (["alice@example.test"], ["es"])
    assert "login_hint" not in location(alice.client.get("/login"))


def test_a_new_person_gets_an_account_with_the_role_of_the_claim(new_browser: NewBrowser, database: Database) -> None:
    mine = new_browser()
    mine.sign_in("pat", email="pat@example.test", email_verified=True, start="/login?language=es")
    assert mine.session()["account"]["role"] == "patient"
    assert mine.session()["account"]["language"] == "es"
    with database.reading() as session:
        account = session.scalars(select(Account).where(Account.subject == "pat")).one()
        assert (account.email, account.email_verified) == ("pat@example.test", True)
    assert "account.created" in actions(database)


def test_whose_mail_address_changes_is_told_at_both(new_browser: NewBrowser, database: Database) -> None:
    for address in ("pat@example.test", "pat@example.test", "mallory@example.test"):
        new_browser().sign_in("pat", email=address, email_verified=True)
    with database.reading() as session:
        account = session.scalars(select(Account).where(Account.subject == "pat")).one()
        assert (account.email, account.earlier_email) == ("mallory@example.test", "pat@example.test")
        jobs = session.scalars(select(OutboxJob).where(OutboxJob.kind == notices.KEYS_JOB)).all()
    told = [job.payload for job in jobs if job.payload["account"] == account.id]
    assert [one["what"] for one in told] == ["contact-changed", "contact-changed"]
    assert sorted(one.get("earlier", False) for one in told) == [False, True]


def test_the_same_subject_of_another_issuer_is_somebody_else(
    new_browser: NewBrowser, world: World, database: Database
) -> None:
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "alice").values(issuer="https://other.test"))
    mine = new_browser()
    mine.sign_in("alice")
    assert mine.session()["account"]["id"] != world.accounts["alice"]
    assert mine.session()["patients"] == []


@pytest.mark.parametrize(
    ("name", "claims", "code"),
    [
        ("mallory", {"roles": ["astronaut"]}, "login-no-role"),
        ("mallory", {"roles": None}, "login-no-role"),
        ("mallory", {"roles": ["patient", "pharmacist"], "pharmacy": "riverside"}, "login-no-role"),
        ("mallory", {"roles": {"patient": True}}, "login-no-role"),
        ("mallory", {"roles": ["pharmacist"]}, "login-no-pharmacy"),
        ("mallory", {"roles": ["pharmacist"], "pharmacy": "atlantis"}, "login-no-pharmacy"),
        # A claim takes away from an account that the portal knows …
        ("bob", {"roles": ["patient"]}, "login-no-role"),
        ("bob", {"roles": []}, "login-no-role"),
        ("bob", {"pharmacy": "harbor"}, "login-no-pharmacy"),
        ("alice", {"roles": ["pharmacist"], "pharmacy": "riverside"}, "login-no-role"),
    ],
)
def test_a_person_without_a_known_role_gets_a_page_that_says_so(
    new_browser: NewBrowser, name: str, claims: dict[str, Any], code: str, database: Database
) -> None:
    mine = new_browser()
    page = mine.sign_in(name, **claims)
    assert page.status_code == 403
    assert "+1 555 0100" in page.get_data(as_text=True)
    assert mine.session()["state"] == "anonymous"
    with database.reading() as session:
        assert session.scalars(select(AuditEvent.reason).where(AuditEvent.action == "login.failed")).all() == [code]
        assert session.scalars(select(Account).where(Account.subject == "mallory")).all() == []


def test_a_claim_never_gives_more_than_the_portals_own_row(new_browser: NewBrowser, database: Database) -> None:
    # … and gives nothing: Bob was made a technician in the portal, whatever the provider goes on saying.
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "bob").values(role="technician"))
    mine = new_browser()
    mine.sign_in("bob", roles=["pharmacist", "supervisor"])
    assert mine.session()["account"]["role"] == "technician"


def test_a_disabled_account_stays_outside(new_browser: NewBrowser, database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "alice").values(disabled_at=clock.now()))
    mine = new_browser()
    assert mine.sign_in("alice").status_code == 403
    assert mine.session()["state"] == "anonymous"


def test_staff_need_the_second_factor_and_patients_do_not(
    app: Flask, new_browser: NewBrowser, settings: Settings
) -> None:
    app.extensions["portal"].settings = replace(settings, staff_acr="gold, platinum")
    mine = new_browser()
    page = mine.sign_in("bob", acr="bronze")
    assert page.status_code == 403
    assert "/login?factor=2" in page.get_data(as_text=True)
    assert mine.session()["state"] == "anonymous"
    assert mine.sign_in("bob").status_code == 403
    again = mine.client.get("/login?factor=2")
    assert "acr_values=gold" in again.headers["Location"]
    assert mine.come_back(again, "bob", acr="platinum").status_code == 303
    assert mine.session()["state"] == "active"
    assert new_browser().sign_in("alice").status_code == 303


def test_a_claim_binds_a_patient_once(
    app: Flask, new_browser: NewBrowser, settings: Settings, database: Database, world: World
) -> None:
    app.extensions["portal"].settings = replace(settings, oidc_patient_claim="fhir_patient")
    mine = new_browser()
    mine.sign_in("ann", fhir_patient="Patient/ann")
    assert [one["kind"] for one in mine.session()["patients"]] == ["self"]
    with database.transaction() as session:
        session.execute(
            update(Relation)
            .where(Relation.patient_id == mine.session()["patients"][0]["patient"])
            .values(ends_at=clock.now())
        )
    again = new_browser()
    again.sign_in("ann", fhir_patient="Patient/ann")
    assert again.session()["patients"] == []


# --- what a copied cookie is worth


def test_a_copied_cookie_is_dead_after_logout(alice: Browser, provider: MisbehavingProvider) -> None:
    copied = alice.cookie
    assert copied is not None
    thief = alice.with_cookie(copied)
    assert thief.session()["state"] == "active"
    answer = alice.submit("/logout")
    assert location(answer) == "/logged-out"
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert alice.cookie is None
    # Our own page first; it leads on to the provider once.
    assert "/logged-out/provider" in alice.client.get("/logged-out").text
    on = alice.client.get("/logged-out/provider").headers["Location"]
    assert on.startswith(provider.issuer + "/logout?")
    assert "id_token_hint=" in on
    assert "/logged-out/provider" not in alice.client.get("/logged-out").text
    assert location(alice.client.get("/logged-out/provider")) == "/logged-out"
    assert thief.session()["state"] == "anonymous"
    assert thief.client.get("/api/sessions").get_json()["code"] == "session-ended"


def test_a_cookie_is_dead_as_soon_as_the_account_is_disabled(alice: Browser, database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "alice").values(disabled_at=clock.now()))
    assert alice.client.get("/api/sessions").status_code == 401
    assert alice.session()["state"] == "anonymous"


def test_a_cookie_is_dead_as_soon_as_the_role_changes(bob: Browser, database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "bob").values(role="technician"))
    assert bob.client.get("/api/sessions").get_json()["code"] == "session-ended"
    # Also when it changes back: the session has ended, it does not sleep.
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "bob").values(role="pharmacist"))
    assert bob.session()["state"] == "anonymous"


def test_ending_all_sessions_of_an_account_tells_open_streams(
    alice: Browser, database: Database, bus: MemoryBus, world: World
) -> None:
    ref = alice.client.get("/api/sessions").get_json()["items"][0]["ref"]
    stream = bus.subscribe(frozenset({f"session:{ref}"}))
    account = bus.subscribe(frozenset({f"account:{world.accounts['alice']}"}))
    with database.transaction() as session:
        count = sessions.end_all(session, bus, world.accounts["alice"], EndedBy.OPERATOR, agent=OPERATOR)
        assert stream.get(0) is None, "nobody hears of it before the commit"
    assert count == 1
    assert stream.get(0) == {"topic": f"session:{ref}", "kind": "session", "session": ref, "state": "ended"}
    assert account.get(0) == {
        "topic": f"account:{world.accounts['alice']}",
        "kind": "session",
        "state": "ended",
    }
    assert alice.session()["state"] == "anonymous"


def test_after_signing_out_nobody_comes_in_without_the_password(new_browser: NewBrowser) -> None:
    mine = new_browser()
    assert "prompt" not in mine.client.get("/login").headers["Location"]
    mine.sign_in("alice")
    mine.submit("/logout")
    # The provider may know the person still; "back" must not be a way in.
    assert "prompt=login" in mine.client.get("/login?next=/inbox").headers["Location"]
    mine.sign_in("alice")
    assert "prompt" not in mine.client.get("/login").headers["Location"]


def test_the_page_after_signing_out_speaks_the_persons_language(alice: Browser, database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Account).where(Account.subject == "alice").values(language="es"))
    alice.submit("/logout")
    assert "Ha cerrado la sesión" in alice.client.get("/logged-out").text
    assert "ui_locales=es" in alice.client.get("/logged-out/provider").headers["Location"]


@pytest.mark.parametrize("made_up", ["-", "x", "a.b", "a." + "A" * 100])
def test_a_made_up_way_to_the_provider_carries_no_token(
    alice: Browser, provider: MisbehavingProvider, made_up: str
) -> None:
    alice.client.set_cookie("portal_leaving", made_up)
    on = alice.client.get("/logged-out/provider").headers["Location"]
    assert on.startswith(provider.issuer + "/logout?")
    assert "id_token_hint" not in on


def test_logging_out_needs_the_forms_token(alice: Browser) -> None:
    answer = alice.client.post("/logout", headers={"Origin": "http://localhost"})
    assert answer.status_code == 403
    assert alice.session()["state"] == "active"


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 303), ("cross-site", 403), ("same-site", 403), ("none", 403), (None, 403)]
)
def test_a_form_of_the_portal_itself_comes_with_a_null_origin(alice: Browser, site: str | None, status: int) -> None:
    """Browsers blank the origin of forms under Referrer-Policy: no-referrer."""
    headers = {"Origin": "null"} | ({"Sec-Fetch-Site": site} if site else {})
    answer = alice.client.post("/logout", data={"csrf_token": str(alice.session()["csrf"])}, headers=headers)
    assert answer.status_code == status
    assert alice.session()["state"] == ("anonymous" if status == 303 else "active")


def test_without_the_provider_logout_still_works(app: Flask, alice: Browser, provider: MisbehavingProvider) -> None:
    clock.shift(timedelta(minutes=25))
    alice.post("/api/session/activity")
    clock.shift(timedelta(minutes=25))
    alice.post("/api/session/activity")
    clock.shift(timedelta(minutes=25))
    provider.faults.answers["/.well-known/openid-configuration"] = (503, {}, b"")
    answer = alice.submit("/logout")
    assert location(answer) == "/logged-out"
    assert alice.client.get("/logged-out").headers["Clear-Site-Data"] == '"cache"'
    assert alice.session()["state"] == "anonymous"


# --- what can go wrong on the way


def test_a_dead_provider_gives_a_page_with_the_phone_and_leaves_sessions_alone(
    alice: Browser, new_browser: NewBrowser, provider: MisbehavingProvider
) -> None:
    clock.shift(timedelta(hours=1, minutes=1))
    fresh = new_browser()
    provider.faults.answers["/.well-known/openid-configuration"] = (503, {}, b"")
    page = fresh.client.get("/login")
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "30"
    assert "Signing in does not work right now" in page.get_data(as_text=True)
    assert "+1 555 0100" in page.get_data(as_text=True)
    clock.shift(-timedelta(hours=1, minutes=1))
    assert alice.session()["state"] == "active"


def test_what_the_provider_says_is_never_repeated(
    new_browser: NewBrowser, provider: MisbehavingProvider, database: Database
) -> None:
    mine = new_browser()
    provider.faults.callback = {"error": "x<script>\r\nX-Evil: 1", "error_description": "<b>call 555-EVIL</b>"}
    page = mine.sign_in("alice")
    assert page.status_code == 401
    assert "EVIL" not in page.get_data(as_text=True)
    assert "<script>" not in page.get_data(as_text=True)
    assert "X-Evil" not in page.headers
    with database.reading() as session:
        reason = session.scalars(select(AuditEvent.reason).where(AuditEvent.action == "login.failed")).one()
    assert reason == "provider-refused"


def test_only_known_problems_have_a_page(new_browser: NewBrowser) -> None:
    assert new_browser().client.get("/login/problem/<b>x").status_code == 404
    page = new_browser().client.get("/login/problem/login-failed?reference=<b>555-EVIL")
    assert page.status_code == 401
    assert "EVIL" not in page.get_data(as_text=True).split("<main", 1)[1]


def test_the_page_speaks_spanish(new_browser: NewBrowser, provider: MisbehavingProvider) -> None:
    mine = new_browser()
    back = mine.client.get("/login/callback?state=x")
    page = mine.client.get(location(back), headers={"Accept-Language": "es"})
    assert page.status_code == 400
    assert "Ha pasado demasiado tiempo" in page.get_data(as_text=True)


def test_a_session_ends_when_its_provider_says_so(
    alice: Browser, bob: Browser, provider: MisbehavingProvider, database: Database
) -> None:
    provider.person = {"sub": "alice", "sid": "sid-alice"}
    token = provider.logout_token()
    answer = alice.client.post("/login/backchannel", data={"logout_token": token})
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert alice.session()["state"] == "anonymous"
    assert bob.session()["state"] == "active"
    assert alice.client.post("/login/backchannel", data={"logout_token": token}).status_code == 400
    with database.reading() as session:
        ended = session.scalars(select(LoginSession.ended_by).where(LoginSession.ended_by.is_not(None))).all()
    assert ended == ["provider"]


def test_a_logout_token_for_a_person_ends_all_of_their_sessions(
    new_browser: NewBrowser, provider: MisbehavingProvider
) -> None:
    phone, desktop = new_browser(), new_browser()
    phone.sign_in("alice", sid="phone")
    desktop.sign_in("alice", sid="desktop")
    provider.person = {"sub": "alice", "sid": "phone"}
    token = provider.logout_token(sid=None)
    assert phone.client.post("/login/backchannel", data={"logout_token": token}).status_code == 200
    assert phone.session()["state"] == desktop.session()["state"] == "anonymous"


@pytest.mark.parametrize("data", [{}, {"logout_token": "x"}, {"logout_token": ["a", "b"]}])
def test_a_bad_logout_token_ends_nothing(alice: Browser, data: dict[str, Any]) -> None:
    assert alice.client.post("/login/backchannel", data=data).status_code == 400
    assert alice.session()["state"] == "active"


# --- step-up


def test_what_needs_a_fresh_login_asks_for_one(alice: Browser) -> None:
    assert alice.page("/needs-step-up").get_data(as_text=True) == "done"
    clock.shift(timedelta(minutes=5, seconds=1))
    assert alice.page("/needs-step-up").status_code == 403
    assert location(alice.sign_in("alice", start="/step-up?next=/needs-step-up")) == "/needs-step-up"
    assert alice.page("/needs-step-up").get_data(as_text=True) == "done"


def test_a_provider_that_does_not_ask_again_steps_nobody_up(alice: Browser, provider: MisbehavingProvider) -> None:
    clock.shift(timedelta(minutes=6))
    redirect = alice.client.get("/step-up?next=/account")
    assert "max_age=0" in redirect.headers["Location"]
    provider.faults.claims = {"auth_time": int(clock.now().timestamp()) - 360}
    assert alice.come_back(redirect, "alice").status_code == 401
    assert alice.session()["state"] == "active"


def test_the_actor_knows_session_and_login_time(alice: Browser, world: World) -> None:
    ref = alice.client.get("/api/sessions").get_json()["items"][0]["ref"]
    said = json.loads(alice.client.get("/who").get_data())
    assert said == {"account": world.accounts["alice"], "role": "patient", "fresh": True, "session": ref}
