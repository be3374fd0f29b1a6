"""States of a pharmacy's pages about who may act for a patient: the wrong person there, and Consents."""

import pytest
from playwright.sync_api import Page
from stage import Stage
from walk import States, walk

pytestmark = pytest.mark.browser
STATES = States()
state = STATES.enter


@state("wrong-person", spanish=True)
def _(stage: Stage) -> Page:
    stage.joined("alicia", True)
    return stage.at("bob", wrong_person(stage, "Alicia Morgan"))


@state("wrong-person-nobody")
def _(stage: Stage) -> Page:
    stage.joined("alicia", False)
    return stage.at("bob", wrong_person(stage, "Alicia Morgan"))


def wrong_person(stage: Stage, name: str) -> str:
    """Where a patient's account is parted from her."""
    found = stage.at("bob", "/account").evaluate(
        "fetch('/api/patients?pharmacy=riverside').then((answer) => answer.json())"
    )
    patient = next(one["patient"] for one in found["items"] if one["name"] == name)
    return f"/pharmacies/riverside/wrong-person?patient={patient}"


def consents_of(stage: Stage, name: str) -> Page:
    """Bob looks at who may act for a patient; his sign-in is young enough to ask somebody."""
    return stage.fresh("bob", wrong_person(stage, name).replace("wrong-person", "carers"))


def ask_luis(stage: Stage) -> Page:
    """Bob asks the father in the Consent; the code is on the page."""
    page = consents_of(stage, "Mia Castillo")
    page.get_by_label("Luis Castillo").check()
    page.get_by_label("Orders, refills and messages").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Invite").click()
    page.locator(".code-line").wait_for()
    return page


@state("consents", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("UPDATE carer_consent SET ended_at = seen_at")
    return consents_of(stage, "Mia Castillo")


@state("consents-wrong")
def _(stage: Stage) -> Page:
    page = consents_of(stage, "Mia Castillo")
    page.get_by_label("A paper that I have seen").check()
    page.get_by_label("Orders", exact=True).check()
    with page.expect_navigation():
        page.get_by_role("button", name="Invite").click()
    page.locator(".summary-errors").wait_for()
    return page


@state("consents-code")
def _(stage: Stage) -> Page:
    return ask_luis(stage)


@state("consents-held", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("UPDATE carer_consent SET ended_at = seen_at")
    ask_luis(stage)
    return consents_of(stage, "Mia Castillo")


@state("consents-gone", spanish=True)
def _(stage: Stage) -> Page:
    stage.write("UPDATE carer_consent SET ended_at = seen_at")
    ask_luis(stage)
    # As if the Consent named somebody else by now.
    stage.write("UPDATE carer_consent SET person = 'RelatedPerson/nobody' WHERE ended_at IS NULL")
    return consents_of(stage, "Mia Castillo")


@pytest.mark.parametrize("name", STATES)
def test_a_state(stage: Stage, name: str) -> None:
    """It says what docs/states.md promises, leads on and is fit for everyone."""
    walk(stage, STATES[name])
