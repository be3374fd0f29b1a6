"""The control room: what it moves, what it shows, and that it exists in a demo only."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from world import World, build
from world_web import Browser

from portal.app import create_app
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings, UnsafeSettings
from portal.demo import control_room
from portal.demo.idp import create_idp
from portal.demo.people import PASSPHRASE, PASSWORD, PEOPLE
from portal.demo.sandbox.control import Mode, SandboxControl
from portal.notify.mail import FileMailer, Mail
from portal.pharmacies import profiles

CHICAGO = ZoneInfo("America/Chicago")


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


@pytest.fixture
def demo(settings: Settings, database: Database, world: World, tmp_path: Path) -> Flask:
    mailer = FileMailer(tmp_path / "mail")
    app = create_app(settings, database=database, adapters={"mailer": mailer})
    control_room.attach(app)
    app.extensions[control_room.SANDBOX] = SandboxControl()
    app.extensions[control_room.WHOLE] = True
    app.testing = True
    return app


def press(client: FlaskClient, path: str, **values: str) -> int:
    """Press a button of the page."""
    page = client.get("/demo").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    return client.post(path, data={"csrf_token": token, **values}).status_code


def test_every_portal_but_a_demo_knows_no_control_room(client: FlaskClient) -> None:
    assert client.get("/demo").status_code == 404


def test_the_passphrase_is_shown_where_it_helps_and_in_a_demo_only(
    settings: Settings, database: Database, client: FlaskClient
) -> None:
    app = create_app(settings, database=database)
    control_room.attach(app, passphrase=PASSPHRASE)
    browser = app.test_client()
    shown = {
        path for path in ("/demo", "/recover", "/recovery", "/setup", "/help") if PASSPHRASE in browser.get(path).text
    }
    assert shown == {"/demo", "/recover"}
    plain = client.get("/recover").text
    assert PASSPHRASE not in plain
    assert "demo" not in plain


def test_a_demo_without_keys_shows_no_passphrase(demo: Flask) -> None:
    assert "passphrase" not in demo.test_client().get("/demo").text


def test_no_page_text_or_script_of_the_product_holds_the_passphrase() -> None:
    root = Path(control_room.__file__).parents[2]
    for folder in ("portal/core", "portal/web", "templates", "client/pages", "client/keys", "client/views"):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert PASSPHRASE.encode() not in path.read_bytes(), path


def test_nobody_is_sent_to_a_half_world(demo: Flask) -> None:
    browser = demo.test_client()
    assert browser.get("/readyz").status_code == 200
    demo.extensions[control_room.WHOLE] = False
    early = browser.get("/readyz")
    assert early.status_code == 503
    assert int(early.headers["Retry-After"]) > 0
    assert browser.get("/healthz").status_code == 200


def test_production_refuses_it(settings: Settings, app: Flask) -> None:
    app.extensions["portal"].settings = replace(settings, env="production")
    with pytest.raises(UnsafeSettings):
        control_room.attach(app)


def test_it_shows_people_mails_and_jobs_without_a_login(demo: Flask) -> None:
    mailer = demo.extensions["portal"].adapters["mailer"]
    mailer.send(Mail("alice@demo.example", "A message is waiting", "Something waits <for you>.", "en", "ref-1"))
    page = demo.test_client().get("/demo").text
    for person in PEOPLE:
        assert person.name in page
    assert "alice@demo.example" in page
    assert "Something waits &lt;for you&gt;." in page


def test_the_clock_goes_an_hour_on_to_the_night_to_the_opening_and_back(demo: Flask) -> None:
    client = demo.test_client()
    assert press(client, "/demo/clock", act="hour") == 303
    assert clock.offset() == timedelta(hours=1)
    assert press(client, "/demo/clock", act="night") == 303
    assert clock.now().astimezone(CHICAGO).hour == 3
    assert press(client, "/demo/clock", act="opening") == 303
    assert clock.now().astimezone(CHICAGO).strftime("%H:%M") in ("08:00", "09:00")
    assert press(client, "/demo/clock", act="now") == 303
    assert clock.offset() == timedelta()
    assert press(client, "/demo/clock", act="yesterday") == 400


def test_on_a_first_day_the_clock_is_that_of_the_first_pharmacy_and_of_none_before(
    demo: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_room, "CLOCK_OF", "nowhere-yet")
    client = demo.test_client()
    with database.reading() as session:
        first = profiles.everyone(session)[0]
    assert press(client, "/demo/clock", act="night") == 303
    assert clock.now().astimezone(ZoneInfo(first.time_zone)).hour == 3
    assert press(client, "/demo/clock", act="opening") == 303
    assert first.opening.is_open(clock.now())
    monkeypatch.setattr(profiles, "everyone", lambda session: [])
    assert press(client, "/demo/clock", act="now") == 303
    assert press(client, "/demo/clock", act="opening") == 303
    assert clock.offset() == timedelta()


def test_the_clock_waits_until_the_world_is_whole(demo: Flask) -> None:
    demo.extensions[control_room.WHOLE] = False
    assert press(demo.test_client(), "/demo/clock", act="hour") == 503
    assert clock.offset() == timedelta()


def test_the_ehr_can_be_troubled_and_healed(demo: Flask) -> None:
    client, sandbox = demo.test_client(), demo.extensions[control_room.SANDBOX]
    for mode in (Mode.DOWN, Mode.SLOW, Mode.CONFLICT, Mode.NORMAL):
        assert press(client, "/demo/ehr", mode=mode.value) == 303
        assert sandbox.mode is mode
    assert press(client, "/demo/ehr", mode="broken") == 400


def test_an_ehr_of_ones_own_is_left_alone(demo: Flask) -> None:
    del demo.extensions[control_room.SANDBOX]
    client = demo.test_client()
    assert client.get("/demo").status_code == 200
    assert press(client, "/demo/ehr", mode="down") == 400


def test_switching_ends_the_session_and_leads_to_the_login(demo: Flask, world: World) -> None:
    browser = Browser(demo, world, "alice")
    assert browser.state()["account"]["name"] == "Alice"
    assert press(browser.client, "/demo/switch", login="bob") == 303
    assert browser.state()["account"] is None
    assert press(browser.client, "/demo/switch", login="mallory") == 400


def test_the_provider_asks_again_with_the_name_filled_in(
    demo: Flask, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.web.auth import login

    class Flow:
        def begin(self, *given: object, **named: object) -> str:
            return "http://idp.test/authorize?state=s"

    monkeypatch.setattr(login, "login_flow", Flow)
    sent = demo.test_client().get("/login?login_hint=bob").location
    assert parse_qs(urlsplit(sent).query) == {"state": ["s"], "login_hint": ["bob"], "prompt": ["login"]}
    assert demo.test_client().get("/login").location == "http://idp.test/authorize?state=s"
    accounts = [person.account() for person in PEOPLE]
    idp = create_idp(
        settings,
        database_path=str(tmp_path / "idp.sqlite3"),
        base_url="http://localhost",
        portal_origin=settings.origin,
        accounts=accounts,
        password=PASSWORD,
    )
    query = {"client_id": settings.oidc_client_id, "redirect_uri": f"{settings.origin}/login/callback"}
    query |= {"response_type": "code", "scope": "openid", "state": "s", "code_challenge": "c" * 43}
    query |= {"code_challenge_method": "S256", "login_hint": "bob", "prompt": "login", "nonce": "n"}
    assert 'value="bob"' in idp.test_client().get("/authorize", query_string=query).text


def test_one_thread_can_live_in_the_past_alone() -> None:
    before = datetime(2026, 1, 1, tzinfo=UTC)
    real = clock.now()
    with clock.at(before):
        assert before <= clock.now() < before + timedelta(minutes=1)
        with clock.at(before + timedelta(days=1)):
            assert clock.now() >= before + timedelta(days=1)
        assert clock.now() < before + timedelta(minutes=1)
    assert clock.now() >= real
