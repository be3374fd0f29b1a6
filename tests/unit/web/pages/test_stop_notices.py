"""Alice stops a kind of mail from the mail itself: with her mail program's button, or on a page that undoes it too."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from world import World
from world_web import ORIGIN, Browser

from portal.accounts import telling
from portal.accounts.telling import Channel, Kind
from portal.audit.tables import AuditEvent
from portal.notify.one_tap import OneTap

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PROGRAM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def one_tap(app: Flask) -> OneTap:
    settings = app.extensions["portal"].settings
    return OneTap(settings.secret_keys, "")


@pytest.fixture
def link(one_tap: OneTap, world: World) -> str:
    return one_tap.link(world.accounts["alice"], "message", "mail")


def wanted(world: World, kind: Kind = Kind.MESSAGE, whose: str = "alice") -> bool:
    with world.database.reading() as session:
        return telling.wants(session, world.accounts[whose], kind, Channel.MAIL)


def test_looking_at_the_link_changes_nothing(client: FlaskClient, link: str, world: World) -> None:
    answer = client.get(link)
    assert answer.status_code == 200
    said = answer.get_data(as_text=True)
    assert "Stop these e-mails?" in said
    assert "Alice" not in said
    assert wanted(world)


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://mail.example"}, {"Origin": "null"}])
def test_the_mail_programs_button_needs_no_cookie_no_login_and_no_page_of_ours(
    client: FlaskClient, link: str, world: World, headers: dict[str, str]
) -> None:
    answer = client.post(link, data=ONE_CLICK, headers={**PROGRAM, **headers})
    assert answer.status_code == 200
    assert not wanted(world)
    assert wanted(world, Kind.REMINDER)
    assert wanted(world, whose="dave")
    # Once more does nothing, and one row says what was done.
    client.post(link, data=ONE_CLICK, headers=PROGRAM)
    with world.database.reading() as session:
        (noted,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "settings.changed"))
    assert (noted.account_id, noted.entity_id) == (None, world.accounts["alice"])
    assert noted.detail == {"changed": ["message-mail"], "wanted": False, "by": "link"}


def test_the_page_says_what_was_stopped_and_undoes_it(client: FlaskClient, link: str, world: World) -> None:
    said = client.post(link, data={"act": "stop"}, headers={"Origin": ORIGIN}).get_data(as_text=True)
    assert "These e-mails are stopped" in said
    assert not wanted(world)
    assert "These e-mails are stopped" in client.get(link).get_data(as_text=True)
    said = client.post(link, data={"act": "again"}, headers={"Origin": ORIGIN}).get_data(as_text=True)
    assert "These e-mails come again" in said
    assert wanted(world)


def test_what_is_no_link_of_ours_or_says_nothing_does_nothing(
    client: FlaskClient, one_tap: OneTap, link: str, world: World
) -> None:
    for other in (
        link[:-3] + "abc",
        one_tap.link(world.accounts["alice"], "keys", "mail"),
        one_tap.link(world.accounts["alice"], "message", "pigeon"),
        one_tap.link("0" * 32, "message", "mail"),
    ):
        assert client.post(other, data=ONE_CLICK, headers=PROGRAM).status_code == 404
    assert client.post(link, data={"act": "everything"}, headers=PROGRAM).status_code == 400
    assert wanted(world)


def test_the_link_signs_nobody_in(client: FlaskClient, link: str) -> None:
    client.post(link, data=ONE_CLICK, headers=PROGRAM)
    assert client.get("/account", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 401


def test_it_is_the_same_page_for_whoever_is_signed_in(browser_of: Callable[[str], Browser], link: str) -> None:
    assert "Stop these e-mails?" in browser_of("dave").get(link).get_data(as_text=True)
