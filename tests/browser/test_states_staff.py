"""States of a pharmacy's workbench, its teams, and the pages of its office and of the operator."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from demo_world import team
from patience import reload_until
from playwright.sync_api import Page, Route
from stage import Stage, answer_with, cut, refuse
from talking import THREAD, asked, begin, sent, started_again
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter
UNKNOWN = "0" * 32


@state("inbox", spanish=True)
def _(stage: Stage) -> Page:
    asked(stage)
    page = stage.with_keys("bob", "/inbox")
    page.locator(".queue__row").first.wait_for()
    return page


@state("inbox-no-team")
def _(stage: Stage) -> Page:
    page = stage.with_keys("olivia", "/inbox")
    page.get_by_text("You are not in a team yet").first.wait_for()
    return page


@state("inbox-closed", spanish=True)
def _(stage: Stage) -> Page:
    """Bob does not sit at the desk, where Frank does."""
    asked(stage)
    page = stage.ready("bob")
    desk = {"team": "riverside_desk", "kind": "desk", "waiting": 3, "holders": ["Frank Weber"]}
    answer_with(page, "**/api/threads/closed", lambda answer: answer | {"items": [desk]})
    page.goto("/inbox")
    page.locator(".queue .banner, .banner").filter(has_text="Frank Weber").wait_for()
    return page


@state("inbox-all-answered")
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.ready("bob")
    answer_with(page, "**/api/threads?*", lambda answer: answer | {"items": [], "next": None, "awaiting": 0})
    page.goto("/inbox")
    page.get_by_role("button", name="Needs an answer").click()
    page.get_by_text("Nobody waits for an answer").first.wait_for()
    return page


@state("inbox-unreachable")
def _(stage: Stage) -> Page:
    page = stage.ready("bob")
    cut(page, "**/api/threads**")
    page.goto("/inbox")
    page.get_by_text("We cannot reach the server now").first.wait_for()
    return page


@state("workbench", spanish=True)
def _(stage: Stage) -> Page:
    page = workbench(stage)
    page.get_by_text("Penicillin").first.wait_for()
    return page


def workbench(stage: Stage, prepare: Callable[[Page], None] = lambda page: None) -> Page:
    """Bob before the thread of Alice."""
    path = asked(stage)
    page = stage.ready("bob")
    prepare(page)
    page.goto(path)
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    return page


@state("context-down")
def _(stage: Stage) -> Page:
    page = workbench(stage, lambda page: refuse(page, "**/context?*", 503, "ehr-unavailable"))
    page.get_by_text("The health record cannot be reached").first.wait_for()
    return page


@state("context-stale")
def _(stage: Stage) -> Page:
    page = workbench(stage, lambda page: answer_with(page, "**/context?*", lambda answer: answer | {"stale": True}))
    page.get_by_text("Not fresh").first.wait_for()
    return page


@state("context-slow")
def _(stage: Stage) -> Page:
    # The answer is on its way and stays there.
    page = workbench(stage, lambda page: page.route("**/context?*", lambda route: None))
    page.get_by_text("Fetching the record").first.wait_for()
    return page


@state("context-partial", spanish=True)
def _(stage: Stage) -> Page:
    def partly(answer: Any) -> Any:
        return answer | {"labs": [], "sections": answer["sections"] | {"labs": "unavailable"}}

    page = workbench(stage, lambda page: answer_with(page, "**/context?*", partly))
    page.get_by_text("One part did not answer").first.wait_for()
    return page


@state("context-no-allergies")
def _(stage: Stage) -> Page:
    path = asked(stage, "alicia")
    page = stage.ready("bob")
    page.goto(path)
    page.get_by_text("It is kinder to your kidneys.").first.wait_for()
    page.get_by_text("No known allergies").first.wait_for()
    return page


@state("workbench-deceased", spanish=True)
def _(stage: Stage) -> Page:
    def died(answer: Any) -> Any:
        return answer | {"patient": answer["patient"] | {"deceased": True, "silent": True}}

    path = asked(stage)
    page = stage.ready("bob")
    answer_with(page, "**/context?*", died)
    closed = re.compile(r"/api/threads/[0-9a-f]{32}$")
    page.route(closed, lambda route: closing(route))
    page.goto(path)
    page.get_by_text("This person has died").first.wait_for()
    return page


def closing(route: Route) -> None:
    """A thread as it is told of a patient to whom nothing is sent any more."""
    answer = route.fetch()
    route.fulfill(response=answer, json=answer.json() | {"patient_active": False})


@state("context-nothing", spanish=True)
def _(stage: Stage) -> Page:
    path = asked(stage, "judy")
    page = stage.with_keys("bob", path)
    page.get_by_text("Nothing recorded about allergies").first.wait_for()
    page.locator("article .more__button").first.wait_for()
    return page


@state("write-to-patient", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.get_by_text("Alice Morgan").first.wait_for()
    return page


@state("write-to-deceased", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.get_by_text("Harold Quinn").first.wait_for()
    return page


@state("write-to-nobody")
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", "/new")
    page.locator("#find").fill("Zzyzx")
    page.get_by_text("No patient in care fits").first.wait_for()
    return page


@state("waits-for-keys", spanish=True)
def _(stage: Stage) -> Page:
    stage.founded()
    # Pat never signs in here, and nobody acts for Pat: whoever does, and has keys, is let in at once.
    page = stage.with_keys("bob", "/new")
    page.locator("#find").fill("Sorensen")
    page.get_by_role("button", name="Pat Sorensen").click()
    begin(page, "Something else", "Your INR is 2.4. Go on with the same dose.")
    page.wait_for_url(THREAD)
    sent(page, "Go on with the same dose.")
    page.get_by_text("It opens at the first sign-in").first.wait_for()
    return page


@state("thread-reset-hold", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.with_keys("bob", started_again(stage))
    page.get_by_text("has new keys since").first.wait_for()
    return page


def held_as(stage: Stage, state: str) -> Page:
    """Bob in Peggy's conversation, his pharmacy being that far with her."""
    until = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    path = started_again(stage)
    page = stage.ready("bob")
    answer_with(page, "**/api/identity-checks/*", lambda said: {"state": state, "how": "waited", "until": until})
    page.goto(path)
    page.locator(f"[data-check={state}]").wait_for()
    return page


@state("thread-reset-waiting", spanish=True)
def _(stage: Stage) -> Page:
    return held_as(stage, "waiting")


@state("thread-reset-objected")
def _(stage: Stage) -> Page:
    return held_as(stage, "objected")


@state("team-not-staff")
def _(stage: Stage) -> Page:
    return stage.with_keys("judy", "/team")


@state("team-recovery-first")
def _(stage: Stage) -> Page:
    page = stage.with_keys("olivia", "/team")
    page.get_by_text("First a way back").first.wait_for()
    return page


@state("team-not-founded", spanish=True)
def _(stage: Stage) -> Page:
    stage.with_code("carol")
    page = stage.with_keys("carol", "/team")
    page.get_by_text("Nobody has set up this team yet").first.wait_for()
    return page


@state("team-sole")
def _(stage: Stage) -> Page:
    stage.founded()
    page = stage.with_keys("bob", "/team")
    page.get_by_text("You are the only one").first.wait_for()
    return page


def erin_asks(stage: Stage) -> Page:
    """Erin has asked to join the pharmacists whom Bob founded."""
    stage.founded()
    stage.with_code("erin")
    page = stage.with_keys("erin", "/team")
    asks, asked_before = team(page).get_by_role("button", name="Ask to join"), page.get_by_text("You asked to join")
    asks.or_(asked_before).first.wait_for()
    if asks.is_visible():
        asks.click()
    asked_before.first.wait_for()
    return page


@state("team-lost", spanish=True)
def _(stage: Stage) -> Page:
    """Heidi founded the privacy officers alone, and began anew since."""
    if "privacy-lost" not in stage.kept:
        stage.found_team("heidi", "privacy")
        stage.begins_again("heidi", "/team")
        stage.kept["privacy-lost"] = "yes"
    page = stage.with_keys("heidi", "/team")
    page.get_by_text("Your keys do not open this team").first.wait_for()
    return page


@state("team-waiting")
def _(stage: Stage) -> Page:
    return erin_asks(stage)


@state("team-asked", spanish=True)
def _(stage: Stage) -> Page:
    erin_asks(stage)
    page = stage.with_keys("bob", "/team")
    page.get_by_text("Waiting to be let in").first.wait_for()
    return page


@state("privacy-office", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("heidi", "/privacy-office")


@state("privacy-office-none")
def _(stage: Stage) -> Page:
    return stage.at("heidi", f"/privacy-office?patient={UNKNOWN}")


@state("privacy-office-wrong")
def _(stage: Stage) -> Page:
    return stage.at("heidi", "/privacy-office?patient=12")


@state("pharmacies", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/pharmacies")


@state("pharmacy-checklist", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("UPDATE pharmacy SET country = 'US' WHERE id = 'newtown'")
    return stage.at("ivan", "/pharmacies/newtown")


@state("pharmacy-checklist-country", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("UPDATE pharmacy SET country = 'UY' WHERE id = 'newtown'")
    return stage.at("ivan", "/pharmacies/newtown")


@state("pharmacy-checklist-awaited", spanish=True)
def _(stage: Stage) -> Page:
    stage.at("ivan", "/pharmacies/newtown/staff/invite")
    if not stage.read("SELECT id FROM staff_invitation WHERE pharmacy_id = 'newtown'"):
        page = stage.fresh("ivan", "/pharmacies/newtown/staff/invite")
        page.locator("#name").fill("Nora Quill")
        page.locator("#mail").fill("nora@newtown.example")
        page.locator("#role-pharmacist").check()
        page.get_by_role("button", name="Send the invitation").click()
        page.get_by_role("status").wait_for()
    return stage.at("ivan", "/pharmacies/newtown")


@state("pharmacy-checklist-others", spanish=True)
def _(stage: Stage) -> Page:
    # At Harbor nobody sets up teams, whatever was walked before.
    return stage.at("carol", "/pharmacies/harbor")


@state("pharmacy-hours-wrong")
def _(stage: Stage) -> Page:
    page = stage.at("grace", "/pharmacies/riverside/hours")
    page.locator("#mon-1-until").fill("07:00")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()
    return page


@state("pharmacy-connection-untested", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/pharmacies/newtown/connection")


STAFF = "/pharmacies/riverside/staff"


@state("staff", spanish=True)
def _(stage: Stage) -> Page:
    stage.founded()
    stage.write("DELETE FROM staff_invitation")
    return stage.at("bob", STAFF)


@state("staff-not-for-role", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("frank", STAFF)


@state("staff-wrong")
def _(stage: Stage) -> Page:
    page = inviting(stage, "who types a colleague", "erin@demo.example")
    page.get_by_role("button", name="Send the invitation").click()
    page.get_by_role("alert").wait_for()
    return page


@state("staff-old-login")
def _(stage: Stage) -> Page:
    page = inviting(stage, "who types slowly", "oscar@demo.example")
    stage.write(
        "UPDATE login_session SET auth_time = datetime(auth_time, '-1 hour') || '.000000'"
        " WHERE created_at = (SELECT max(created_at) FROM login_session)"
    )
    page.get_by_role("button", name="Send the invitation").click()
    page.get_by_role("alert").wait_for()
    return page


@state("staff-invited", spanish=True)
def _(stage: Stage) -> Page:
    return invited(stage, "who has invited")


@state("staff-not-told", spanish=True)
def _(stage: Stage) -> Page:
    page = invited(stage, "whose mail came back")
    stage.write("UPDATE staff_invitation SET failure = 'recipient-550', failed_at = created_at")
    page.goto(STAFF)
    return page


@state("staff-alone")
def _(stage: Stage) -> Page:
    supervised(stage)
    seats = "UPDATE team_seat SET state = ? WHERE kind = 'supervisors' AND account_id != " + GRACE
    stage.write(seats, "member")
    page = stage.at("grace", STAFF)
    stage.write(seats, "left")
    page.get_by_role("button", name="Leave all teams now").click()
    page.get_by_role("alert").wait_for()
    return page


@state("staff-leave")
def _(stage: Stage) -> Page:
    supervised(stage)
    stage.write("UPDATE team_seat SET state = 'member' WHERE kind = 'supervisors'")
    return stage.at("grace", STAFF)


GRACE = "(SELECT id FROM account WHERE email = 'grace@demo.example')"


def supervised(stage: Stage) -> None:
    """Grace has set up the supervisors; Heidi's seat beside hers is there, and left."""
    if "supervised" not in stage.kept:
        stage.found_team("grace", "supervisors")
        stage.at("heidi", "/account")
        stage.write(
            "INSERT INTO team_seat (pharmacy_id, kind, account_id, state, since) SELECT pharmacy_id, kind, "
            "(SELECT id FROM account WHERE email = 'heidi@demo.example'), 'left', since FROM team_seat "
            "WHERE kind = 'supervisors' AND account_id = " + GRACE
        )
        stage.kept["supervised"] = "yes"


def inviting(stage: Stage, which: str, mail: str) -> Page:
    """Bob has signed in just now, in a profile of its own, and filled in the form."""
    stage.founded()
    page = stage.at(f"bob, {which}", STAFF + "/invite", login="bob")
    page.locator("#name").fill("Oscar Bell")
    page.locator("#mail").fill(mail)
    page.locator("#role-pharmacist").check()
    return page


def invited(stage: Stage, which: str) -> Page:
    """Bob has invited Oscar, and the mail has left."""
    stage.write("DELETE FROM staff_invitation")
    page = inviting(stage, which, "oscar@demo.example")
    page.get_by_role("button", name="Send the invitation").click()
    page.get_by_role("status").wait_for()
    reload_until(page, "E-mail sent")
    return page


INVITATIONS = "/pharmacies/riverside/invitations"


@state("invitations", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM invitation")
    return stage.at("frank", INVITATIONS)


@state("invitations-list", spanish=True)
def _(stage: Stage) -> Page:
    card_for_rosa(stage)
    return stage.at("bob", INVITATIONS)


@state("invitations-nameless")
def _(stage: Stage) -> Page:
    card_for_rosa(stage)
    stage.ehr("down")
    try:
        return stage.at("bob", INVITATIONS)
    finally:
        stage.ehr("normal")


@state("invite-find", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("frank", INVITATIONS + "/find")


@state("invite-wrong")
def _(stage: Stage) -> Page:
    return looked_for(stage, "Rosa", "")


@state("invite-nobody")
def _(stage: Stage) -> Page:
    return looked_for(stage, "Rosa", "1999-01-01")


@state("invite-found")
def _(stage: Stage) -> Page:
    return looked_for(stage, "Morgan", birth_date(stage, "Alice Morgan"))


@state("invite-card")
def _(stage: Stage) -> Page:
    return card_for_rosa(stage)


@state("invite-shown")
def _(stage: Stage) -> Page:
    return card_for_rosa(stage, "Show the code")


def birth_date(stage: Stage, name: str) -> str:
    """The birth date of somebody in Riverside's care, as the EHR has it."""
    found = stage.at("bob", "/account").evaluate(
        "fetch('/api/patients?pharmacy=riverside').then((answer) => answer.json())"
    )
    return str(next(one["birth_date"] for one in found["items"] if one["name"] == name))


def looked_for(stage: Stage, name: str, born: str) -> Page:
    """Bob has asked the EHR for somebody."""
    page = stage.at("bob", INVITATIONS + "/find")
    page.locator("#name").fill(name)
    page.locator("#born").fill(born)
    with page.expect_navigation():
        page.get_by_role("button", name="Find", exact=True).click()
    return page


def card_for_rosa(stage: Stage, how: str = "Print a card") -> Page:
    """Bob has invited Rosa, whom no account is joined to."""
    stage.write("DELETE FROM invitation")
    stage.write(
        "UPDATE relation SET ends_at = starts_at WHERE account_id = (SELECT id FROM account WHERE subject = 'rosa')"
    )
    page = looked_for(stage, "Rosa", birth_date(stage, "Rosa Delgado"))
    with page.expect_navigation():
        page.get_by_role("button", name=how).click()
    page.locator(".handout__letters").wait_for()
    return page


REQUESTS = "/pharmacies/riverside/requests"


@state("requests", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("DELETE FROM match_request")
    return stage.at("frank", REQUESTS)


@state("requests-list", spanish=True)
def _(stage: Stage) -> Page:
    request_of(stage, "Alicia Morgan")
    return stage.at("bob", REQUESTS)


@state("request", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("bob", request_of(stage, "Alicia Morgan"))


@state("request-nobody", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("bob", request_of(stage, "Zoe Nobody"))


@state("request-over")
def _(stage: Stage) -> Page:
    place = request_of(stage, "Alicia Morgan")
    stage.write("UPDATE match_request SET withdrawn_at = created_at")
    return stage.at("bob", place)


def request_of(stage: Stage, name: str) -> str:
    """Alicia, joined to no patient, has asked Riverside to find somebody of that name: where Bob answers."""
    stage.founded()
    stage.write("DELETE FROM match_request")
    year, month, day = birth_date(stage, "Alicia Morgan").split("-")
    stage.joined("alicia", False)
    page = stage.at("alicia", "/match")
    page.locator("#pharmacy").select_option("riverside")
    for field, value in (("name", name), ("day", day), ("month", month), ("year", year), ("phone", "555 555 0142")):
        page.locator(f"#{field}").fill(value)
    with page.expect_navigation():
        page.get_by_role("button", name="Ask the pharmacy").click()
    ((request,),) = stage.read("SELECT id FROM match_request")
    return f"{REQUESTS}/{request}"


@state("operator", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("ivan", "/operator")


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
