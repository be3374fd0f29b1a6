"""States of a patient's own pages."""

import pytest
from playwright.sync_api import Page
from stage import Stage, shown
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter
UNKNOWN = "0" * 32


@state("home", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/home")


@state("home-protect")
def _(stage: Stage) -> Page:
    stage.with_keys("pat", "/devices")
    return stage.at("pat", "/home")


@state("home-tryout")
def _(stage: Stage) -> Page:
    stage.with_code("nina")
    return stage.at("nina", "/home")


@state("home-shared", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.at("nina's library", "/account", login="nina")
    page.context.add_cookies([{"name": "portal_shared", "value": "1", "url": stage.demo.url}])
    return shown(page, "/home")


@state("home-nothing", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("judy", "/home")


def unjoined(stage: Stage, path: str) -> Page:
    """Alicia, whose account is joined to no patient any more."""
    stage.joined("alicia", False)
    return stage.at("alicia", path)


@state("home-unjoined", spanish=True)
def _(stage: Stage) -> Page:
    return unjoined(stage, "/home")


@state("invitation")
def _(stage: Stage) -> Page:
    return invited(stage)


def invited(stage: Stage) -> Page:
    """Before the form that joins an account to a patient; nobody has tried lately."""
    stage.write("DELETE FROM redeem_failure")
    return unjoined(stage, "/invitation")


@state("invitation-empty")
def _(stage: Stage) -> Page:
    page = invited(stage)
    page.locator("form.stack").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_role("button", name="Join").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("join", spanish=True)
def _(stage: Stage) -> Page:
    return shown(stage.page("a card in the hand"), "/join?at=riverside")


@state("join-read")
def _(stage: Stage) -> Page:
    page = shown(stage.page("a card before the camera"), "/join?at=riverside#ABCD-EFGH-JKMN-PQRS")
    page.locator("[data-read]").wait_for()
    return page


@state("home-joined")
def _(stage: Stage) -> Page:
    stage.joined("alicia", True)
    return stage.at("alicia", "/home?joined=1")


@state("pharmacies-own", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("UPDATE care_relation SET ends_at = NULL, ended_by = NULL")
    return stage.at("alice", "/account/pharmacies")


@state("pharmacies-own-ended", spanish=True)
def _(stage: Stage) -> Page:
    page = stage.at("dave", "/account/pharmacies")
    if page.locator("summary", has_text="End this").count() > 0:
        page.locator("summary", has_text="End this").first.click()
        with page.expect_navigation():
            page.get_by_role("button", name="End it with").first.click()
    return shown(page, "/account/pharmacies")


@state("pharmacies-own-none")
def _(stage: Stage) -> Page:
    return unjoined(stage, "/account/pharmacies")


@state("match", spanish=True)
def _(stage: Stage) -> Page:
    return unmatched(stage)


@state("match-wrong")
def _(stage: Stage) -> Page:
    return requested(stage, "")


@state("match-waiting", spanish=True)
def _(stage: Stage) -> Page:
    requested(stage, "rx-1001")
    return stage.at("alicia", "/match")


@state("match-declined", spanish=True)
def _(stage: Stage) -> Page:
    requested(stage, "rx-1001")
    stage.write("UPDATE match_request SET decided_at = created_at, reason = 'differs'")
    return stage.at("alicia", "/match")


@state("match-later")
def _(stage: Stage) -> Page:
    for _ in range(3):
        requested(stage, "rx-1001", again=True)
    page = requested(stage, "rx-1001", again=True)
    page.get_by_text("too many requests today").first.wait_for()
    return page


def unmatched(stage: Stage, *, again: bool = False) -> Page:
    """Alicia, joined to no patient, before the form; she has not asked lately, unless `again`."""
    stage.founded()
    if not again:
        stage.write("DELETE FROM match_request")
    return unjoined(stage, "/match")


def requested(stage: Stage, prescription: str, *, again: bool = False) -> Page:
    """Alicia has asked Riverside to find her."""
    page = unmatched(stage, again=again)
    page.locator("#pharmacy").select_option("riverside")
    for name, value in (("name", "Alicia Morgan"), ("day", "15"), ("month", "3"), ("year", "1974")):
        page.locator(f"#{name}").fill(value)
    page.locator("#prescription").fill(prescription)
    with page.expect_navigation():
        page.get_by_role("button", name="Ask the pharmacy").click()
    return page


def join(page: Page, code: str = "AAAA-BBBB-CCCC-DDDD") -> None:
    """Try a code that nobody gave."""
    page.locator("#code").fill(code)
    for name, value in (("day", "3"), ("month", "4"), ("year", "1970")):
        page.locator(f"#{name}").fill(value)
    with page.expect_navigation():
        page.get_by_role("button", name="Join").click()


@state("invitation-refused")
def _(stage: Stage) -> Page:
    page = invited(stage)
    join(page)
    page.locator(".summary-errors").wait_for()
    return page


@state("invitation-later")
def _(stage: Stage) -> Page:
    page = invited(stage)
    join(page)
    stage.write("UPDATE redeem_failure SET failures = 5")
    join(page, "EEEE-FFFF-GGGG-HHHH")
    page.get_by_text("Wait 15 minutes").first.wait_for()
    return page


@state("invitation-tomorrow")
def _(stage: Stage) -> Page:
    page = invited(stage)
    join(page)
    stage.write("UPDATE redeem_failure SET failures = 5")
    join(page)
    page.get_by_text("Wait a day").first.wait_for()
    return page


@state("too-many")
def _(stage: Stage) -> Page:
    # As often as somebody who guesses would, within an hour: by an account that nobody needs for it elsewhere.
    page = stage.at("dave", "/invitation")
    send = "(form) => fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) })"
    for _ in range(20):
        page.locator("form.stack").evaluate(send)
    page.locator("form.stack").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_role("button", name="Join").click()
    page.get_by_text("Too many tries").first.wait_for()
    return page


def asking(stage: Stage, who: str) -> Page:
    """Before the form that invites a helper; the sign-in is young enough for it."""
    return stage.fresh(who, "/carers/invite")


def invite_helper(stage: Stage) -> str:
    """Peggy invites a helper for refills by a code; gives the code, her page shows it."""
    page = asking(stage, "peggy")
    page.get_by_label("What you call this person").fill("Trent")
    page.get_by_label("Someone who looks after me").check()
    page.get_by_label("Orders and refills").check()
    page.get_by_role("button", name="Invite").click()
    return page.locator(".code-line").inner_text()


def looked_at(stage: Stage, code: str) -> Page:
    """Trent looks at what a code invites to."""
    page = stage.at("trent", "/carers/accept")
    page.locator("#code").fill(code)
    page.get_by_role("button", name="Look at it first").click()
    page.get_by_role("button", name="Yes, I will help").or_(page.locator(".summary-errors")).first.wait_for()
    return page


def helped(stage: Stage) -> None:
    """Trent helps Peggy with refills."""
    if "helped" not in stage.kept:
        page = looked_at(stage, invite_helper(stage))
        page.get_by_role("button", name="Yes, I will help").click()
        page.get_by_text("You can help from now on.").wait_for()
        stage.kept["helped"] = "yes"


@state("carers-none", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/carers")


@state("carers", spanish=True)
def _(stage: Stage) -> Page:
    helped(stage)
    invite_helper(stage)
    return stage.at("peggy", "/carers")


@state("carers-invite", spanish=True)
def _(stage: Stage) -> Page:
    return asking(stage, "peggy")


@state("carers-invite-wrong")
def _(stage: Stage) -> Page:
    page = asking(stage, "peggy")
    page.locator("form.stack").evaluate("(form) => { form.noValidate = true; }")
    page.get_by_label("What you call this person").fill("Trent")
    page.get_by_label("Someone who looks after me").check()
    page.get_by_role("button", name="Invite").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("carers-card")
def _(stage: Stage) -> Page:
    invite_helper(stage)
    return stage.page("peggy")


@state("carers-accept", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("trent", "/carers/accept")


@state("carers-refused")
def _(stage: Stage) -> Page:
    return looked_at(stage, "AAAA-BBBB-CCCC-DDDD")


@state("carers-offer")
def _(stage: Stage) -> Page:
    return looked_at(stage, invite_helper(stage))


@state("carers-pharmacy")
def _(stage: Stage) -> Page:
    # The same row that a pharmacy's consent makes (tests/unit/web/pages/test_consent_pages.py goes all the way).
    ((account, patient),) = stage.read(
        "SELECT account.id, relation.patient_id FROM account JOIN relation ON relation.account_id = account.id"
        " WHERE account.subject = 'walt' AND relation.kind = 'self'"
    )
    ((judy,), (bob,)) = (stage.read("SELECT id FROM account WHERE subject = ?", name)[0] for name in ("judy", "bob"))
    stage.write("DELETE FROM relation WHERE consent_id IS NOT NULL AND patient_id = ?", patient)
    stage.write("DELETE FROM carer_consent WHERE id = ?", "c" * 32)
    stage.write(
        "INSERT INTO carer_consent (id, patient_id, pharmacy_id, paper, dated, kind, scope, seen_by, seen_at,"
        " confirmed_at, asked_at) SELECT ?, ?, 'riverside', 'power-of-attorney', '2026-01-31', 'carer', 'messages',"
        " ?, created_at, created_at, created_at FROM account WHERE id = ?",
        "c" * 32,
        patient,
        bob,
        account,
    )
    stage.write(
        "INSERT INTO relation (id, account_id, patient_id, kind, scope, starts_at, by_age, consent_id)"
        " SELECT ?, ?, ?, 'carer', 'refills', created_at, 0, ? FROM account WHERE id = ?",
        "d" * 32,
        judy,
        patient,
        "c" * 32,
        account,
    )
    page = stage.at("walt", "/carers")
    page.get_by_text("on a consent that it holds").wait_for()
    return page


@state("home-carer", spanish=True)
def _(stage: Stage) -> Page:
    helped(stage)
    page = stage.at("trent", "/carers")
    page.locator("main").get_by_role("link", name="Open").click()
    return page


@state("medicines", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/medicines")


@state("medicines-none")
def _(stage: Stage) -> Page:
    return stage.at("judy", "/medicines")


@state("medicines-no-allergies", spanish=True)
def _(stage: Stage) -> Page:
    stage.joined("alicia", True)
    return stage.at("alicia", "/medicines")


@state("medicines-card", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/medicines/card")


@state("medicines-print")
def _(stage: Stage) -> Page:
    return stage.at("alice", "/medicines/print")


@state("orders", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/orders")


@state("orders-none")
def _(stage: Stage) -> Page:
    return stage.at("judy", "/orders")


@state("orders-on-hold")
def _(stage: Stage) -> Page:
    return stage.at("trent", "/orders")


@state("record", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/record")


@state("account", spanish=True)
def _(stage: Stage) -> Page:
    return stage.at("alice", "/account")


@state("account-saved")
def _(stage: Stage) -> Page:
    page = stage.at("alice", "/account")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").first.wait_for()
    return page


@state("account-quiet", spanish=True)
def _(stage: Stage) -> Page:
    page = quiet_hours(stage, "22:00", "07:00")
    page.get_by_text("Saved.").first.wait_for()
    page.goto("/account")
    return page


@state("account-quiet-wrong")
def _(stage: Stage) -> Page:
    page = quiet_hours(stage, "22:00", "")
    page.get_by_text("There is a problem").first.wait_for()
    return page


def quiet_hours(stage: Stage, start: str, end: str) -> Page:
    """Alice types when nothing may come, and sends it."""
    page = stage.at("alice", "/account")
    page.locator("#quiet_from").fill(start)
    page.locator("#quiet_until").fill(end)
    page.get_by_role("button", name="Save").click()
    return page


@state("account-wrong")
def _(stage: Stage) -> Page:
    page = stage.at("alice", "/account")
    page.evaluate("document.querySelector('#time_zone').append(new Option('Nowhere/Land', 'Nowhere/Land', true, true))")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("There is a problem").first.wait_for()
    return page


@state("sessions")
def _(stage: Stage) -> Page:
    return stage.at("alice", "/account/sessions")


@state("forbidden")
def _(stage: Stage) -> Page:
    return stage.at("alice", "/privacy-office")


@state("foreign-patient")
def _(stage: Stage) -> Page:
    return stage.at("alice", f"/medicines?for={UNKNOWN}")


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
