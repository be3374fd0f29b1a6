"""A pharmacy lets a father in on a Consent of its EHR, and he is out when the EHR says so."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from demo_world import Demo
from playwright.sync_api import Browser, Page, expect
from stage import Stage, founded_stage
from talking import THREAD, hears, say, sent

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    with founded_stage(demo, browser, r"status of (403|404|409)") as made:
        yield made


def ehr(stage: Stage, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read from the EHR, or put something there behind the portal's back."""
    url = f"http://127.0.0.1:{(urlsplit(stage.demo.url).port or 0) + 2}/fhir/{path}"
    body = None if content is None else json.dumps(content).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/fhir+json"})
    asked.method = "GET" if content is None else "PUT"
    with urllib.request.urlopen(asked, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def look_at_mia(stage: Stage) -> Page:
    """Bob finds Mia in the EHR and looks at who may act for her."""
    bob = stage.fresh("bob", "/account")
    patients = bob.evaluate("fetch('/api/patients?pharmacy=riverside').then((answer) => answer.json())")["items"]
    bob.goto("/pharmacies/riverside/invitations")
    bob.get_by_role("link", name="Invite a patient").click()
    bob.locator("#name").fill("castillo")
    bob.locator("#born").fill(next(one["birth_date"] for one in patients if one["name"] == "Mia Castillo"))
    bob.get_by_role("button", name="Find", exact=True).click()
    bob.get_by_role("button", name="Who may act for this person Mia Castillo").click()
    bob.get_by_role("heading", name="Who may act for this person").wait_for()
    return bob


def invite_luis(stage: Stage, scope: str) -> None:
    """Bob invites the father in the Consent, who comes with the code that he is given."""
    bob = look_at_mia(stage)
    bob.get_by_label("Luis Castillo").check()
    bob.get_by_label(scope, exact=True).check()
    bob.get_by_role("button", name="Invite", exact=True).click()
    code = bob.locator(".code-line").inner_text()
    luis = stage.with_keys("luis", "/account")
    luis.goto("/carers/accept")
    luis.locator("#code").fill(code)
    luis.get_by_role("button", name="Look at it first").click()
    luis.get_by_role("button", name="Yes, I will help").click()
    luis.locator(".item").filter(has_text="My child").wait_for()


def thread_of(page: Page, path: str) -> int:
    """What the server answers who asks for a conversation."""
    found: int = page.evaluate("(path) => fetch(path).then((answer) => answer.status)", f"/api/threads{path[7:]}")
    return found


def test_luis_reads_as_far_as_the_consent_and_his_pharmacist_say_and_nothing_once_it_is_withdrawn(
    stage: Stage,
) -> None:
    bob = stage.with_keys("bob", "/new")
    bob.locator("#find").fill("Mia")
    bob.get_by_role("button", name="Mia Castillo").click()
    bob.get_by_text("Something else", exact=True).click()
    say(bob, "Her new pen is here.")
    bob.wait_for_url(THREAD)
    sent(bob, "Her new pen is here.")
    path = bob.url.removeprefix(stage.demo.url)

    # Orders and refills: her medicines, and no message.
    invite_luis(stage, "Orders and refills")
    luis = stage.page("luis")
    luis.locator(".item").filter(has_text="My child").get_by_role("link", name="Open").click()
    expect(luis.get_by_text("Messages are not open to you.")).to_be_visible()
    expect(luis.locator("main")).to_contain_text("Amoxicillin")
    assert thread_of(luis, path) == 404

    # With messages too: nobody of Mia's side reads what waits, so the team's browser opens it to him.
    invite_luis(stage, "Orders, refills and messages")
    stage.with_keys("luis", "/messages")
    expect(look_at_mia(stage).locator("#held")).to_be_visible()
    bob.goto(path)
    hears(bob, "Her new pen is here.")
    expect(bob.locator(".readers")).to_contain_text("Luis Castillo")
    luis.goto(path)
    hears(luis, "Her new pen is here.")
    expect(luis.locator(".thread-head .for-whom")).to_have_text("For Mia Castillo")
    say(luis, "I will fetch it on Friday.")
    hears(bob, "I will fetch it on Friday.")

    # The EHR says that it is withdrawn: the next look of staff ends it, and what is sealed next is not for him.
    (held,) = [one["resource"] for one in ehr(stage, "Consent")["entry"]]
    ehr(stage, f"Consent/{held['id']}", {**held, "status": "inactive"})
    bob = look_at_mia(stage)
    expect(bob.locator("#held")).to_have_count(0)
    bob.goto(path)
    hears(bob, "I will fetch it on Friday.")
    say(bob, "Only her mother may fetch it.")
    sent(bob, "Only her mother may fetch it.")
    expect(bob.locator(".readers")).not_to_contain_text("Luis Castillo")
    luis.goto(path)
    expect(luis.get_by_text("We cannot find this conversation")).to_be_visible()
    assert luis.get_by_text("Only her mother").count() == 0
    assert thread_of(luis, path) == 404
    assert thread_of(luis, f"{path}/records?after=0") == 404
    luis.goto("/carers")
    assert luis.locator(".item").filter(has_text="My child").count() == 0
