"""The page "Your pharmacies": Dave has two of them, ends one and takes that back; Judy ends none of Rosa's unasked."""

import html
from collections.abc import Callable

from world import World
from world_web import Browser

from portal.pharmacies import care

BrowserOf = Callable[[str], Browser]
PLACE = "/account/pharmacies"


def page(browser: Browser, **query: str) -> str:
    answer = browser.get(PLACE, **query)
    assert answer.status_code == 200
    return html.unescape(answer.get_data(as_text=True))


def in_care(world: World, pharmacy: str) -> bool:
    with world.database.reading() as session:
        return care.in_care(session, patient_id=world.patients["dave"], pharmacy_id=pharmacy)


def test_dave_ends_one_pharmacy_and_takes_it_back(browser_of: BrowserOf, world: World) -> None:
    dave = browser_of("dave")
    shown = page(dave)
    for said in (
        "Riverside Pharmacy",
        "Harbor Pharmacy",
        "It gives out your medicines.",
        "cannot read your conversations",
    ):
        assert said in shown
    sent = {"patient": world.patients["dave"], "pharmacy": "harbor"}
    ended = dave.fill(PLACE, {**sent, "act": "end"})
    assert (ended.status_code, ended.headers["Location"]) == (303, f"{PLACE}?done=ended")
    assert (in_care(world, "harbor"), in_care(world, "riverside")) == (False, True)
    shown = page(dave, done="ended")
    assert "You ended it on" in shown
    assert "It has ended." in shown
    assert dave.fill(PLACE, {**sent, "act": "end"}).status_code == 404
    assert dave.fill(PLACE, {**sent, "act": "again"}).headers["Location"] == f"{PLACE}?done=again"
    assert in_care(world, "harbor")
    assert "You chose it." in page(dave)
    assert dave.fill(PLACE, {**sent, "act": "odd"}).status_code == 400


def test_what_a_pharmacy_ended_says_so(browser_of: BrowserOf, world: World) -> None:
    with world.database.transaction() as session:
        care.end(session, actor=world.actor("bob"), patient_id=world.patients["dave"], pharmacy_id="riverside")
    assert "The pharmacy ended it on" in page(browser_of("dave"))


def test_who_helps_somebody_sees_the_pharmacies_of_both(browser_of: BrowserOf, world: World) -> None:
    shown = page(browser_of("judy"))
    assert "For Rosa" in shown
    assert browser_of("bob").get(PLACE).status_code == 403
