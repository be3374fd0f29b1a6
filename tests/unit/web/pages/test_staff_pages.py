"""The page "People who work here": Bob invites Oscar, sees how far that is, sets a last day, and leaves."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from world import World
from world_keys import Keys
from world_web import Browser

from portal.accounts.tables import Account, AheadKeys
from portal.core import clock
from portal.pharmacies import staff_invitations, teams
from portal.pharmacies.tables import StaffInvitation

BrowserOf = Callable[[str], Browser]
PLACE = "/pharmacies/riverside/staff"
OSCAR = {
    "name": "Oscar Bell",
    "mail": "oscar@example.org",
    "role": "pharmacist",
    "teams": "pharmacists",
    "last_day": "",
    "language": "es",
}


@pytest.fixture
def keys(world: World) -> Keys:
    made = Keys(world)
    made.enrol("bob", "erin")
    made.team("riverside_pharmacists", "bob", "bob", "erin")
    return made


@pytest.fixture
def bob(keys: Keys, browser_of: BrowserOf) -> Browser:
    return browser_of("bob")


def page(browser: Browser, path: str = PLACE, **query: str) -> str:
    answer = browser.get(path, **query)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def only(world: World) -> StaffInvitation:
    with world.database.reading() as session:
        return session.scalars(select(StaffInvitation)).one()


def change(world: World, **values: object) -> None:
    with world.database.transaction() as session:
        row = session.scalars(select(StaffInvitation)).one()
        for name, value in values.items():
            setattr(row, name, value)


def test_staff_come_to_their_own_people(bob: Browser, browser_of: BrowserOf) -> None:
    assert bob.get("/staff").headers["Location"] == PLACE
    assert 'href="/staff"' in page(browser_of("frank"), "/account")
    assert 'href="/staff"' not in page(browser_of("alice"), "/account")


def test_bob_invites_oscar_and_sees_how_far_that_is(bob: Browser, world: World) -> None:
    answer = bob.fill(f"{PLACE}/invite", OSCAR)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PLACE}?done=invited")
    shown = page(bob, done="invited")
    for said in ("The invitation is on its way.", "Oscar Bell", "oscar@example.org", "Invited by Bob", "Waits"):
        assert said in shown
    assert "The e-mail is on its way." in shown
    assert "Pharmacists: yes said ahead" in shown
    row = only(world)
    # Whoever starts alone is let in before coming: from here one goes to the page that makes the keys.
    assert f'href="/team?do=code&amp;team=riverside_pharmacists&amp;who={row.account_id}"' in shown
    assert (row.language, row.teams, row.last_day) == ("es", ["pharmacists"], None)
    change(world, failure="TimeoutError")
    assert "We try again by ourselves" in page(bob)
    change(world, failed_at=clock.now())
    assert "Tell whoever runs this server" in page(bob)
    change(world, failure="recipient-550")
    assert "there is no such address" in page(bob)
    assert "Not told" in page(bob)
    change(world, failed_at=None, failure=None, mailed_at=clock.now())
    assert "E-mail sent" in page(bob)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": " "}, "Give the name"),
        ({"mail": "oscar"}, "Give an e-mail address"),
        ({"role": "supervisor"}, "Pick what they are"),
        ({"teams": "desk"}, "Pick teams that"),
        ({"last_day": "2001-01-01"}, "Pick today or a later day"),
        ({"last_day": "soon"}, "Pick today or a later day"),
        ({"mail": "erin@example.org"}, "works here already"),
    ],
)
def test_what_is_wrong_comes_back_with_what_was_typed(bob: Browser, wrong: dict[str, str], says: str) -> None:
    answer = bob.fill(f"{PLACE}/invite", {**OSCAR, **wrong})
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert says in shown
    kept = {**OSCAR, **wrong}
    for name in ("name", "mail", "last_day"):
        assert f'value="{kept[name].strip()}"' in shown
    assert re.search(r'value="es"[^>]* selected', shown)


def test_a_login_that_is_too_old_keeps_what_was_typed_and_opens_a_tab(app: Flask, keys: Keys, world: World) -> None:
    old = Browser(app, world, "bob", auth_time=clock.now() - timedelta(minutes=6))
    assert 'href="/step-up?next=/signed-in-again" target="_blank"' in page(old, f"{PLACE}/invite")
    answer = old.fill(f"{PLACE}/invite", OSCAR)
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "Sign in once more" in shown
    assert 'value="oscar@example.org"' in shown
    answer = old.fill(f"{PLACE}/last-day", {"account": world.accounts["erin"], "last_day": "2099-01-01"})
    assert "Sign in once more" in answer.get_data(as_text=True)
    assert 'value="2099-01-01"' in answer.get_data(as_text=True)


def test_an_invitation_is_sent_again_taken_back_and_made_anew(bob: Browser, world: World) -> None:
    bob.fill(f"{PLACE}/invite", OSCAR)
    made = only(world).id
    soon = bob.fill(f"{PLACE}/invitations", {"invitation": made, "act": "again"})
    assert soon.status_code == 422
    assert "a few minutes ago" in soon.get_data(as_text=True)
    clock.shift(staff_invitations.BETWEEN_MAILS)
    again = bob.fill(f"{PLACE}/invitations", {"invitation": made, "act": "again"})
    assert again.headers["Location"] == f"{PLACE}?done=again"
    back = bob.fill(f"{PLACE}/invitations", {"invitation": made, "act": "revoke"})
    assert back.headers["Location"] == f"{PLACE}?done=revoked"
    assert "Taken back" in page(bob)
    shown = page(bob, f"{PLACE}/invite", again=made)
    assert 'value="oscar@example.org"' in shown
    assert re.search(r'value="pharmacist" required checked', shown)
    assert bob.fill(f"{PLACE}/invitations", {"invitation": made, "act": "revoke"}).status_code == 422


def test_who_may_not_invite_sees_the_people_and_why(keys: Keys, browser_of: BrowserOf) -> None:
    for name, why in (("frank", "pharmacist in charge can do this"), ("grace", "Only who sits in a team")):
        shown = page(browser_of(name))
        assert "Erin" in shown
        assert why in shown
        assert f"{PLACE}/invite" not in shown
        assert "last_day" not in shown


def test_the_operator_brings_the_first_people_from_the_checklist(browser_of: BrowserOf, keys: Keys) -> None:
    ivan = browser_of("ivan")
    assert 'href="/pharmacies/harbor/staff"' in page(ivan, "/pharmacies/harbor")
    assert "/pharmacies/harbor/staff/invite" in page(ivan, "/pharmacies/harbor/staff")
    given = {**OSCAR, "role": "supervisor", "teams": []}
    assert ivan.fill("/pharmacies/harbor/staff/invite", given).status_code == 303
    shown = page(ivan)
    assert "This pharmacy has its first team now." in shown
    assert "oscar@example.org" not in shown


def test_bob_sets_and_removes_erins_last_day(bob: Browser, world: World) -> None:
    day = (clock.now() + timedelta(days=30)).date().isoformat()
    form = {"account": world.accounts["erin"], "last_day": day}
    assert bob.fill(f"{PLACE}/last-day", form).headers["Location"] == f"{PLACE}?done=last-day"
    assert f'value="{day}"' in page(bob)
    assert bob.fill(f"{PLACE}/last-day", {**form, "last_day": "2001-01-01"}).status_code == 422
    assert bob.fill(f"{PLACE}/last-day", {**form, "act": "remove"}).status_code == 303
    assert "No last day" not in page(bob)


def test_leaving_is_one_button_and_says_where_nobody_would_be_left(
    bob: Browser, browser_of: BrowserOf, keys: Keys, world: World
) -> None:
    keys.team("riverside_desk", "bob", "bob")
    refused = bob.fill(f"{PLACE}/leave", {})
    assert refused.status_code == 422
    assert "Let somebody else in" in refused.get_data(as_text=True)
    assert "Service desk." in refused.get_data(as_text=True)
    erin = browser_of("erin")
    assert erin.fill(f"{PLACE}/leave", {}).headers["Location"] == f"{PLACE}?done=left"
    with world.database.reading() as session:
        assert teams.teams_of(session, world.accounts["erin"]) == frozenset()
    assert "Leave all teams" not in page(browser_of("frank"))


def test_who_alone_has_a_key_is_told_what_would_be_lost_and_has_no_button(
    bob: Browser, browser_of: BrowserOf, keys: Keys
) -> None:
    assert "Leave all teams now" in page(bob)
    keys.team("riverside_desk", "bob", "bob")
    shown = page(bob)
    assert "Leave all teams now" not in shown
    assert "You are the only one with the key of: Service desk." in " ".join(shown.split())
    assert 'href="/recovery-sheets"' in shown
    # Erin, who is not alone with the pharmacists, goes with one button.
    assert "Leave all teams now" in page(browser_of("erin"))


def test_the_page_says_when_a_last_day_leaves_a_team_with_nobody(bob: Browser, world: World) -> None:
    said = "Nobody else stays who has the key."
    assert said not in page(bob)
    with world.database.transaction() as session:
        for name, days in (("bob", 3), ("erin", 2)):
            session.get_one(Account, world.accounts[name]).ends_at = clock.now() + timedelta(days=days)
    assert page(bob).count(said) == 1


def test_a_code_that_was_made_for_oscar_is_told_instead_of_offered(bob: Browser, world: World) -> None:
    bob.fill(f"{PLACE}/invite", OSCAR)
    account_id = only(world).account_id
    with world.database.transaction() as session:
        session.add(
            AheadKeys(
                account_id=account_id,
                pharmacy_id="riverside",
                made_by=world.accounts["bob"],
                made_at=clock.now(),
                ends_at=clock.now() + timedelta(days=14),
            )
        )
    shown = page(bob)
    assert "Bob has made a code on paper" in shown
    assert "Let in with a code" not in shown
