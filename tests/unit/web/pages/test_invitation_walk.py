"""Two browsers walk an invitation through its life: Bob hands over codes for Nora, and Judy types each of them."""

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from ehr_fakes import PeopleOfEhr
from flask import Flask
from sqlalchemy import select
from world import World
from world_web import Browser, portal_app

from portal.accounts.invitations import LIVES
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.settings import Settings

BrowserOf = Callable[[str], Browser]
PLACE = "/pharmacies/riverside/invitations"
BORN = {"day": "9", "month": "3", "year": "1974"}
REFUSED = "The code or the birth date is not right, or the code is too old."


@pytest.fixture
def app(settings: Settings, database: Database, world: World) -> Flask:
    return portal_app(settings, database, ehr=PeopleOfEhr())


def handed(bob: Browser) -> str:
    """A code for Nora, as Bob reads it out."""
    answer = bob.fill(PLACE, {"patient": "nora", "language": "en", "how": "shown"})
    found = re.search(r'class="handout__letters"[^>]*>([0-9A-Z-]{19})<', answer.get_data(as_text=True))
    assert found is not None
    return found[1]


def listed(bob: Browser, state: str) -> list[str]:
    """The ids of the invitations that the list shows in one state."""
    text = bob.get(PLACE, state=state).get_data(as_text=True)
    return re.findall(r'name="invitation" value="([0-9a-f]{32})"', text) or (
        ["shown"] if "Nora Hall" in html.unescape(text) else []
    )


def typed(judy: Browser, code: str, **born: str) -> tuple[int, str]:
    answer = judy.fill("/invitation", {"code": code, **BORN, **born})
    return answer.status_code, html.unescape(answer.get_data(as_text=True))


def test_a_code_through_all_its_states(browser_of: BrowserOf, world: World) -> None:
    bob, judy = browser_of("bob"), browser_of("judy")
    # Sent again: the first code is replaced, and says no more than a code that never was.
    first = handed(bob)
    second = handed(bob)
    status, page = typed(judy, first)
    assert (status, REFUSED in page) == (422, True)
    assert typed(judy, "0000-0000-0000-0000")[0] == 422
    # What was typed stands in the form again.
    for said in (f'value="{first}"', 'value="9"', 'value="1974"'):
        assert said in page
    assert "Type your birth date" in typed(judy, second, day="31", month="2")[1]
    # Taken back.
    (waiting,) = listed(bob, "open")
    assert bob.fill(f"{PLACE}/change", {"invitation": waiting, "act": "revoke"}).status_code == 303
    assert typed(judy, second)[0] == 422
    # Over after its seven days.
    third = handed(bob)
    clock.shift(LIVES + timedelta(minutes=1))
    bob, judy = browser_of("bob"), browser_of("judy")
    assert listed(bob, "expired")
    assert REFUSED in typed(judy, third)[1]
    # In use, and used up.
    fourth = handed(bob)
    answer = judy.fill("/invitation", {"code": fourth, **BORN})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/home?joined=1")
    assert listed(bob, "used")
    assert listed(bob, "open") == []
    assert typed(browser_of("dave"), fourth)[0] == 422
    # Who is here already is not invited again.
    refused = bob.fill(PLACE, {"patient": "nora", "language": "en", "how": "shown"})
    assert refused.status_code == 409
    with world.database.reading() as session:
        rows = session.scalars(
            select(AuditEvent.action).where(AuditEvent.action.like("invitation.%")).order_by(AuditEvent.seq)
        ).all()
    assert rows == [
        "invitation.created",
        "invitation.revoked",
        "invitation.created",
        *["invitation.refused"] * 2,
        "invitation.revoked",
        "invitation.refused",
        "invitation.created",
        "invitation.refused",
        "invitation.created",
        "invitation.redeemed",
        "invitation.refused",
    ]


def test_five_wrong_tries_close_the_address_for_a_while(browser_of: BrowserOf) -> None:
    bob, judy = browser_of("bob"), browser_of("judy")
    code = handed(bob)
    assert [typed(judy, f"0000-0000-0000-000{number}")[0] for number in range(5)] == [422] * 5
    answer = judy.fill("/invitation", {"code": code, **BORN})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    clock.shift(timedelta(minutes=16))
    assert browser_of("judy").fill("/invitation", {"code": code, **BORN}).status_code == 303
