"""The first day of a pharmacy, from an empty database with nothing but the screens.

Ivan, who runs the server, opens the pharmacy and invites Ruth. She founds its teams, lets in Oscar, a relief pharmacist
who has never signed in, and invites Rosa with a card. Then she goes home, and Oscar alone answers Rosa.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from demo_world import Demo, code_shown, confirm_with, give_password, team
from playwright.sync_api import Page, expect
from running import start_portal, stop_portal
from stage import Stage
from talking import hears, said, say, sent

from portal.demo.run import FILLED
from portal.demo.seed import demo_bundles, seed
from portal.ehr.client import EhrClient, EhrConnection
from portal.notify.mail import FileMailer

pytestmark = pytest.mark.browser
TODAY = datetime.now(UTC).date()
ROSA = next(
    entry["resource"]
    for entry in demo_bundles(TODAY)["rosa"]["entry"]
    if entry["resource"]["resourceType"] == "Patient"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A portal whose database has its tables and not one row, a provider of logins, and an EHR with patients."""
    folder = tmp_path_factory.mktemp("first-day")
    data = folder / "demo-empty"
    data.mkdir()
    # The world counts as made, so none is.
    (data / FILLED).touch()
    process, address = start_portal(folder, "--empty")
    with closing(EhrClient(EhrConnection(ehr_of(address), source="EHR", private_network=True))) as client:
        seed(client, TODAY)
    yield Demo(address, data / "portal.sqlite3")
    stop_portal(process)


def ehr_of(address: str) -> str:
    """The FHIR sandbox beside a portal."""
    return f"http://localhost:{(urlsplit(address).port or 0) + 2}/fhir"


def test_from_an_empty_database_to_the_first_answer(stage: Stage) -> None:
    for table in ("account", "pharmacy", "team_record", "patient"):
        assert stage.read(f"SELECT count(*) FROM {table}") == [(0,)]

    ivan = stage.at("ivan", "/pharmacies")
    open_pharmacy(ivan, stage)
    invite(ivan, "Ruth Adler", "ruth@demo.example")

    # Ruth has nothing but the mail.
    ruth = stage.page("ruth")
    ruth.goto(link_in_mail(stage, "ruth@demo.example"))
    give_password(ruth, "ruth")
    code = recovery_code(ruth)
    for kind in ("pharmacists", "desk"):
        team(ruth, kind).get_by_role("button", name="Found this team").click()
        stage.just_now("ruth")
        confirm_with(ruth, code)
        expect(team(ruth, kind)).to_have_attribute("data-gen", "1")
    ruth.goto("/pharmacies/riverside")
    expect(ruth.locator("main")).to_contain_text("Patients can pick this pharmacy and write to it.")

    # Oscar starts alone tomorrow: his keys are made now, and the code is handed to him.
    ruth.get_by_role("link", name="Colleagues").first.click()
    invite(ruth, "Oscar Bell", "oscar@demo.example", "Pharmacists")
    ruth.get_by_role("link", name="Let in with a code Oscar Bell").click()
    stage.just_now("ruth")
    confirm_with(ruth, code)
    ruth.locator("[data-handed] .code-groups").wait_for()
    paper = code_shown(ruth)
    ruth.get_by_role("button", name="I have printed it").click()

    # A card over the counter brings Rosa in; she asks something.
    card = card_of_rosa(ruth)
    stage.offline("ruth")
    rosa = comes_in(stage, card)
    rosa.goto("/new?topic=other&for=me")
    say(rosa, "¿Puedo tomarla con leche?")
    sent_in_spanish(rosa, "¿Puedo tomarla con leche?")

    # Oscar, alone in the shop.
    oscar = stage.at("oscar", "/inbox")
    oscar.locator("#secret-code").fill(paper)
    oscar.get_by_role("button", name="Come in").click()
    oscar.wait_for_url("**/inbox")
    oscar.locator(".queue__row").first.click()
    hears(oscar, "¿Puedo tomarla con leche?")
    say(oscar, "Mejor con agua.")
    sent(oscar, "Mejor con agua.")
    expect(said(rosa, "Mejor con agua.")).to_be_visible()


def open_pharmacy(ivan: Page, stage: Stage) -> None:
    """The operator's part: profile, hours, EHR and its test."""
    for field, value in {
        "id": "riverside",
        "name": "Riverside Pharmacy",
        "address": "12 Mill Lane",
        "phone": "+1 555 0100",
        "time_zone": "America/Chicago",
    }.items():
        ivan.locator(f"#{field}").fill(value)
    ivan.get_by_role("button", name="Open this pharmacy").click()
    expect(ivan.locator("main")).to_contain_text("Not offered to patients yet")
    ivan.get_by_role("link", name="Opening hours").first.click()
    for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"):
        ivan.locator(f"#{day}-always").check()
    ivan.get_by_role("button", name="Save").click()
    ivan.get_by_role("link", name="Health record connection (EHR)").first.click()
    ivan.locator("#base_url").fill(ehr_of(stage.demo.url))
    ivan.locator("#auth-none").check()
    ivan.get_by_role("button", name="Save and test").click()
    look_until(ivan, "Tested")
    expect(ivan.locator(".tag--urgent")).to_have_count(0)
    ivan.goto("/pharmacies/riverside")
    ivan.get_by_role("link", name="Invite the first people").first.click()


def invite(page: Page, name: str, mail: str, team_name: str | None = None) -> None:
    """From the list of colleagues: a pharmacist is invited by mail, which leaves."""
    page.get_by_role("link", name="Invite a colleague").click()
    page.locator("#name").fill(name)
    page.locator("#mail").fill(mail)
    page.locator("#role-pharmacist").check()
    if team_name is not None:
        page.get_by_label(team_name, exact=True).check()
    page.get_by_role("button", name="Send the invitation").click()
    page.get_by_role("status").wait_for()
    look_until(page, "E-mail sent")


def look_until(page: Page, words: str) -> None:
    """Load a page of the server again until it says what the worker has done."""
    told = page.get_by_text(words).first
    for _ in range(600):
        if told.count():
            return
        page.wait_for_timeout(100)
        page.goto(page.url.partition("?")[0])
    raise AssertionError(f"the page never says {words!r}")


def link_in_mail(stage: Stage, to: str) -> str:
    """The one link in the mail that somebody got."""
    (mail,) = [one for one in FileMailer(stage.demo.database.parent / "mail").sent() if one.to == to]
    (found,) = re.findall(r"http://localhost:\d+\S*", mail.text)
    return str(found)


def recovery_code(page: Page) -> str:
    """On the team's page somebody new is told to make a way back first; gives the code."""
    page.wait_for_url("**/team")
    page.get_by_role("link", name="Get my recovery code").first.click()
    page.locator("[data-way=code]").get_by_role("button").first.click()
    code = code_shown(page)
    page.goto("/team")
    return code


def card_of_rosa(ruth: Page) -> str:
    """Rosa is found in the EHR by name and birth date; gives the code on her card."""
    ruth.goto("/pharmacies/riverside")
    ruth.get_by_role("link", name="Invite the first patient").first.click()
    ruth.get_by_role("link", name="Invite a patient").click()
    ruth.locator("#name").fill("delgado")
    ruth.locator("#born").fill(ROSA["birthDate"])
    ruth.get_by_role("button", name="Find", exact=True).click()
    ruth.get_by_role("button", name="Print a card Rosa Delgado").click()
    return ruth.locator("article.handout .handout__letters").inner_text()


def comes_in(stage: Stage, code: str) -> Page:
    """Rosa's telephone reads the card; she signs in and says when she was born."""
    year, month, day = ROSA["birthDate"].split("-")
    rosa = stage.page("rosa", locale="es-MX")
    rosa.goto(f"/join?at=riverside&language=es#{code}")
    rosa.get_by_role("link", name="Iniciar sesión y seguir").click()
    give_password(rosa, "rosa")
    for name, value in (("day", day), ("month", month), ("year", year)):
        rosa.locator(f"#{name}").fill(value)
    rosa.get_by_role("button", name="Unir", exact=True).click()
    expect(rosa.get_by_text("Su cuenta está unida a su historia en Riverside Pharmacy.")).to_be_visible()
    return rosa


def sent_in_spanish(page: Page, words: str) -> None:
    """Wait until the server has a message."""
    expect(said(page, words)).to_contain_text(re.compile("Enviado|Entregado|Leído"))
