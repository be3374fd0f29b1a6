"""Pages without JavaScript: what each says, to whom, in which language, and what it never says."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from ehr_fakes import FakeEhr
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import text
from world import World
from world_web import ORIGIN, Browser

from portal.core.database import Database
from portal.core.errors import Unavailable
from portal.web import pages

People = Callable[[str], Browser]
PUBLIC = ("/", "/contact", "/help", "/privacy-policy")
PATIENTS = ("/home", "/medicines", "/medicines/print", "/medicines/card", "/orders", "/record", "/account")


def page(browser: Browser, path: str) -> str:
    answer = browser.client.get(path, headers={"Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("path", PUBLIC)
def test_everyone_gets_phone_hours_and_the_emergency_line(client: FlaskClient, path: str) -> None:
    html = client.get(path).get_data(as_text=True)
    assert 'href="/contact"' in html
    assert "911" in html
    assert "1-800-222-1222" in html
    assert 'class="skip"' in html
    assert len(re.findall(r"<h1", html)) == 1


@pytest.mark.parametrize("path", PUBLIC)
def test_each_public_page_speaks_spanish(client: FlaskClient, path: str) -> None:
    html = client.get(path, headers={"Accept-Language": "es"}).get_data(as_text=True)
    assert '<html lang="es"' in html
    assert "emergencia" in html


@pytest.mark.parametrize("path", PUBLIC)
def test_no_page_has_a_script_a_style_or_a_handler_inside(client: FlaskClient, path: str) -> None:
    html = client.get(path).get_data(as_text=True)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html)


def test_contact_lists_hours_on_call_and_address(client: FlaskClient, tuesday: datetime) -> None:
    html = client.get("/contact").get_data(as_text=True)
    assert "Open until 7:00" in html.replace("\u202f", " ")
    assert "+1 555 0101" in html
    assert "12 Mill Lane" in html
    assert "Open day and night" in html


def test_a_key_page_has_no_data_and_says_what_to_do_without_javascript(app: Flask) -> None:
    from portal.web.pages import key_page

    app.add_url_rule("/a-key-page", view_func=lambda: key_page("thread"))
    html = app.test_client().get("/a-key-page").get_data(as_text=True)
    assert "<noscript>" in html
    assert 'href="/contact"' in html
    assert 'integrity="sha384-' in html
    assert "csrf" not in html


def test_the_language_switch_stays_for_this_browser(client: FlaskClient) -> None:
    form = client.get("/contact").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token is not None
    answer = client.post(
        "/preferences",
        data={"csrf_token": token[1], "language": "es", "next": "/contact"},
        headers={"Origin": ORIGIN},
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/contact")
    assert '<html lang="es"' in client.get("/contact").get_data(as_text=True)


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_switch_never_leads_to_another_site(client: FlaskClient, wanted: str) -> None:
    form = client.get("/contact").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token is not None
    answer = client.post(
        "/preferences", data={"csrf_token": token[1], "text": "large", "next": wanted}, headers={"Origin": ORIGIN}
    )
    assert answer.headers["Location"] == "/"
    assert 'data-text="large"' in client.get("/contact").get_data(as_text=True)


def test_preferences_need_the_token_and_a_known_value(client: FlaskClient) -> None:
    assert client.post("/preferences", data={"language": "es"}, headers={"Origin": ORIGIN}).status_code == 403
    form = client.get("/contact").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token is not None
    answer = client.post("/preferences", data={"csrf_token": token[1], "language": "xx"}, headers={"Origin": ORIGIN})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", PATIENTS)
def test_alice_reads_her_pages(browser_of: People, path: str) -> None:
    html = page(browser_of("alice"), path)
    assert "Riverside Pharmacy" in html
    assert "+1 555 0100" in html


def test_home_shows_medicines_with_as_of_and_open_orders(browser_of: People) -> None:
    html = page(browser_of("alice"), "/home")
    assert "Metformin 500 mg, slow-release tablet" in html
    assert "as of" in html
    assert "Order 1042" in html


def test_medicines_tell_nothing_recorded_from_no_known_allergies(browser_of: People) -> None:
    html = page(browser_of("alice"), "/medicines")
    assert "Nothing is recorded about allergies" in html
    assert "No known allergies" not in html


def test_when_the_ehr_is_down_the_page_says_so_and_whom_to_call(browser_of: People, ehr: FakeEhr) -> None:
    ehr.down = True
    html = page(browser_of("alice"), "/home")
    assert "We cannot reach your health record" in html
    assert "Ask a question" in html


def test_judy_sees_her_mothers_medicines_and_nobody_elses(browser_of: People, world: World) -> None:
    judy = browser_of("judy")
    assert "Rosa Ward" in page(judy, f"/medicines?for={world.patients['rosa']}")
    for stranger in (world.patients["alice"], "0" * 32):
        assert judy.client.get(f"/medicines?for={stranger}").status_code == 404


@pytest.mark.parametrize("path", ["/home", "/medicines", "/orders"])
def test_staff_have_no_patients_pages(browser_of: People, path: str) -> None:
    assert browser_of("bob").client.get(path, headers={"Sec-Fetch-Mode": "navigate"}).status_code == 403


@pytest.mark.parametrize("path", PATIENTS)
def test_strangers_are_asked_to_sign_in_and_come_back(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert f"/login?next={path.replace('/', '%2F')}" in answer.get_data(as_text=True)


def test_alice_sees_that_bob_looked_and_that_she_did(browser_of: People, world: World) -> None:
    path = f"/api/patients/{world.patients['alice']}/context"
    assert browser_of("bob").get(path, pharmacy="riverside").status_code == 200
    alice = browser_of("alice")
    html = page(alice, "/record")
    assert "Bob" in html
    assert "Pharmacist, Riverside Pharmacy" in html
    assert "Looked at medicines, allergies and orders" in html
    assert "For your treatment" in html
    assert "Looked at this list" in page(alice, "/record")


def test_dave_sees_nothing_of_alices_record(browser_of: People, world: World) -> None:
    dave = browser_of("dave")
    assert dave.client.get(f"/record?for={world.patients['alice']}").status_code == 404
    assert dave.get("/api/audit", patient=world.patients["alice"]).status_code == 404


def test_what_one_person_did_in_one_go_is_one_entry(browser_of: People) -> None:
    alice = browser_of("alice")
    for _ in range(3):
        page(alice, "/medicines")
    html = page(alice, "/record")
    assert html.count('class="log__row log__row--own"') == 1
    assert "(3 times)" in html


def test_my_account_keeps_choices_and_names_what_is_wrong(browser_of: People) -> None:
    alice = browser_of("alice")
    form = {"csrf_token": alice.csrf, "language": "es", "time_zone": "Europe/Madrid", "text": "large"}
    answer = alice.client.post("/account", data=form, headers={"Origin": ORIGIN})
    assert answer.status_code == 303
    html = page(alice, "/account")
    assert '<html lang="es" data-text="large"' in html
    assert '<option value="Europe/Madrid" selected>Madrid</option>' in html
    assert 'name="tell-message-mail" aria-describedby="mail-hint">' in html
    quiet = {**form, "tell-message-mail": "on", "quiet_from": "22:00", "quiet_until": "07:00"}
    assert alice.client.post("/account", data=quiet, headers={"Origin": ORIGIN}).status_code == 303
    html = page(alice, "/account")
    assert 'name="tell-message-mail" aria-describedby="mail-hint" checked>' in html
    assert 'name="quiet_from" value="22:00"' in html
    half = alice.client.post("/account", data={**form, "quiet_from": "22:00"}, headers={"Origin": ORIGIN})
    assert half.status_code == 422
    assert 'href="#quiet"' in half.get_data(as_text=True)
    assert 'name="quiet_from" value="22:00"' in half.get_data(as_text=True)
    wrong = alice.client.post("/account", data={**form, "time_zone": "Mars/Olympus"}, headers={"Origin": ORIGIN})
    assert wrong.status_code == 422
    assert 'href="#time_zone"' in wrong.get_data(as_text=True)


def test_heidi_searches_her_own_pharmacy_only(browser_of: People, world: World) -> None:
    assert (
        browser_of("bob").get(f"/api/patients/{world.patients['alice']}/context", pharmacy="riverside").status_code
        == 200
    )
    html = page(browser_of("heidi"), "/privacy-office?action=context.read")
    assert "Bob" in html
    assert world.patients["alice"][:8] in html
    assert "Searched the record" in page(browser_of("heidi"), "/privacy-office?action=audit.searched")
    # Whoever acted is picked by name, from the own pharmacy's people only.
    assert f'<option value="{world.accounts["bob"]}">Bob, Pharmacist</option>' in html
    assert world.accounts["carol"] not in html
    assert "Bob" in page(browser_of("heidi"), f"/privacy-office?account={world.accounts['bob']}")
    bad = page(browser_of("heidi"), "/privacy-office?patient=nonsense&from=yesterday")
    assert 'href="#patient"' in bad
    assert 'href="#from"' in bad


@pytest.mark.parametrize("who", ["alice", "bob", "grace", "ivan"])
def test_nobody_else_searches_the_record(browser_of: People, who: str) -> None:
    assert browser_of(who).client.get("/privacy-office", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 403


def test_ivan_sees_settings_and_no_secret_no_patient(browser_of: People, world: World) -> None:
    html = page(browser_of("ivan"), "/operator")
    assert "PORTAL_OIDC_ISSUER" in html
    assert "test-secret-key" not in html
    assert not any(patient in html for patient in world.patients.values())
    assert browser_of("bob").client.get("/operator", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 403


def test_a_dead_letter_is_tried_again_or_given_up(browser_of: People) -> None:
    ivan = browser_of("ivan")
    for act, status in (("retry", 404), ("give-up", 404), ("dance", 400)):
        form = {"csrf_token": ivan.csrf, "act": act, "job": "0" * 32}
        answer = ivan.client.post("/operator/dead-letters", data=form, headers={"Origin": ORIGIN})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/nothing-here", "get", 404), ("/contact", "delete", 405), ("/home", "get", 401)]
)
def test_each_error_page_says_what_to_do_next(client: FlaskClient, path: str, method: str, status: int) -> None:
    answer = getattr(client, method)(path, headers={"Origin": ORIGIN})
    assert answer.status_code == status
    html = answer.get_data(as_text=True)
    assert "What you can do" in html
    assert 'href="/contact"' in html


def test_without_its_tables_a_page_still_shows_phone_and_hours(client: FlaskClient, database: Database) -> None:
    assert client.get("/contact").status_code == 200
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE pharmacy RENAME TO gone"))
    html = client.get("/contact").get_data(as_text=True)
    assert "+1 555 0100" in html
    assert "911" in html


def test_with_the_database_down_a_page_says_whom_to_call_and_what_is_safe(
    browser_of: People, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = browser_of("alice")
    page(alice, "/home")

    def down(*_: object) -> None:
        raise Unavailable("database-down", retry_after=2)

    monkeypatch.setattr(database, "reading", down)
    monkeypatch.setattr(database, "transaction", down)
    answer = alice.client.get("/medicines", headers={"Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    html = answer.get_data(as_text=True)
    assert "+1 555 0100" in html
    assert "Do not start, stop or double a medicine on your own." in html


def test_the_page_for_when_nothing_works_lies_ready_in_both_languages(client: FlaskClient, app: Flask) -> None:
    client.get("/")
    html = (app.extensions["portal"].settings.data_path / "closed.html").read_text("utf-8")
    assert "Our website is not working right now" in html
    assert "Nuestra página no funciona en este momento" in html
    assert "+1 555 0100" in html
    assert "911" in html


def test_the_page_of_help_without_a_line_is_the_same_for_everybody(browser_of: People) -> None:
    pages = {name: browser_of(name).get("/offline-help") for name in ("alice", "dave", "bob")}
    texts = {page.get_data(as_text=True) for page in pages.values()}
    assert len(texts) == 1
    (html,) = texts
    for said in ("You are offline", "No tiene conexión", "+1 555 0100", "+1 555 0200", "How to get back in", "911"):
        assert said in html
    for hidden in ("Alice", "<script", "csrf", "<form", "<img"):
        assert hidden not in html


def test_the_context_as_json_has_an_etag_and_is_recorded_each_time(browser_of: People, world: World) -> None:
    bob = browser_of("bob")
    path = f"/api/patients/{world.patients['alice']}/context"
    assert bob.get(path).status_code == 400
    first = bob.get(path, pharmacy="riverside")
    assert first.status_code == 200
    assert first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-store"
    assert browser_of("dave").get(path, pharmacy="riverside").status_code == 404
    assert browser_of("carol").get(path, pharmacy="harbor").status_code == 404


@pytest.mark.parametrize(
    ("language", "zone", "said"),
    [
        ("en", "America/Chicago", "Sun, Nov 22, 2026, 3:30 AM CST"),
        ("es", "America/Chicago", "dom 22 de nov de 2026, 3:30 CST"),
        ("en", "Asia/Kolkata", "Sun, Nov 22, 2026, 3:00 PM (UTC+5:30)"),
        ("es", "UTC", "dom 22 de nov de 2026, 9:30 UTC"),
    ],
)
def test_a_moment_names_its_zone_as_people_write_it(app: Flask, language: str, zone: str, said: str) -> None:
    with app.test_request_context("/"):
        g.language = language
        moment = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
        assert pages.format_moment(moment, ZoneInfo(zone)).replace("\u202f", " ") == said
