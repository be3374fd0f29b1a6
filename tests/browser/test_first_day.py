"""The first day of a pharmacy, from an empty database with nothing but the screens.

Ivan, who runs the server, opens the pharmacy and invites Ruth. She sets up its teams, prints the recovery sheets, lets
in Oscar, a relief pharmacist who has never signed in, and invites Rosa with a card. Then she goes home, and Oscar alone
answers Rosa.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from demo_world import Demo, code_shown, give_password, sign_in_apart, team
from passkeys import USE, Authenticator
from patience import reload_until
from playwright.sync_api import Page, expect
from running import start_portal, stop_portal
from sheets import name_holders, on_paper, type_two
from stage import Stage
from talking import hears, said, say, sent
from tally import Tally

from portal.demo.run import Start
from portal.demo.seed import demo_bundles
from portal.notify.mail import FileMailer

pytestmark = pytest.mark.browser
README = Path(__file__).parents[2] / "README.md"
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
    process, address = start_portal(folder, "--first-day")
    yield Demo(address, folder / Start.FIRST_DAY / "portal.sqlite3")
    stop_portal(process)


def test_from_an_empty_database_to_the_first_answer(stage: Stage) -> None:
    for table in ("account", "pharmacy", "team_record", "patient"):
        assert stage.read(f"SELECT count(*) FROM {table}") == [(0,)]
    tally = Tally()

    ivan = tally.watch("ivan", stage.page("ivan", asked=True))
    ivan.goto("/")
    ivan.get_by_role("link", name="Sign in", exact=True).click()
    give_password(ivan, "ivan")
    open_pharmacy(ivan)
    ivan.get_by_role("link", name="Go on: Invite the first people").click()
    invite(ivan, "Ruth Adler", "ruth@demo.example")
    ivan.get_by_role("link", name="Back to the checklist").click()
    expect(ivan.locator("main")).to_contain_text("Your part is done.")
    tally.step("Ivan opens the pharmacy and invites Ruth")

    # Ruth has nothing but the mail, and the lock of her computer.
    ruth = tally.watch("ruth", stage.page("ruth", asked=True))
    Authenticator(ruth)
    ruth.goto(link_in_mail(stage, "ruth@demo.example"))
    give_password(ruth, "ruth")
    ruth.get_by_role("button", name="It is my own device").click()
    ruth.get_by_role("button", name=USE).click()
    ruth.wait_for_url("**/team")
    for kind in ("pharmacists", "desk"):
        team(ruth, kind).get_by_role("button", name="Set up this team").click()
        confirm(ruth)
        expect(team(ruth, kind)).to_have_attribute("data-gen", "1")
    # What only others can do is said, and not where she goes on.
    expect(team(ruth, "privacy")).to_contain_text("Set up by: Privacy officer.")
    ruth.get_by_role("link", name="What is still needed to open").click()
    expect(ruth.locator("main")).to_contain_text("Patients can pick this pharmacy and write to it.")
    tally.step("Ruth comes in and sets up the teams")

    ruth.get_by_role("link", name="Go on: Print the recovery sheets").click()
    sheets(stage, ruth)
    tally.step("Ruth prints the recovery sheets and types two back")

    # Oscar starts alone tomorrow: his keys are made now, and the code is handed to him.
    ruth.get_by_role("link", name="Colleagues").first.click()
    invite(ruth, "Oscar Bell", "oscar@demo.example", "Pharmacists")
    ruth.get_by_role("link", name="Let in with a code Oscar Bell").click()
    confirm(ruth)
    ruth.locator("[data-handed] .code-groups").wait_for()
    paper = code_shown(ruth)
    ruth.get_by_role("button", name="I have printed it").click()
    tally.step("Ruth lets Oscar in ahead")

    # A card over the counter brings Rosa in; she asks something.
    card = card_of_rosa(ruth)
    stage.offline("ruth")
    rosa = comes_in(stage, tally, card)
    rosa.get_by_role("link", name="Hacer una pregunta").first.click()
    rosa.get_by_text("Otra cosa", exact=True).click()
    # The sheets are named among those who can read, and are nobody.
    expect(rosa.locator(".readers")).to_contain_text("(2 personas)")
    say(rosa, "¿Puedo tomarla con leche?")
    sent_in_spanish(rosa, "¿Puedo tomarla con leche?")
    tally.step("Ruth prints a card, Rosa comes in and asks")

    # Oscar, alone in the shop.
    oscar = tally.watch("oscar", stage.page("oscar", asked=True))
    oscar.goto(link_in_mail(stage, "oscar@demo.example"))
    give_password(oscar, "oscar")
    oscar.locator("#secret-code").fill(paper)
    oscar.get_by_role("button", name="Come in").click()
    oscar.wait_for_url("**/team")
    oscar.get_by_role("link", name="Inbox").first.click()
    oscar.locator(".queue__row").first.click()
    hears(oscar, "¿Puedo tomarla con leche?")
    say(oscar, "Mejor con agua.")
    sent(oscar, "Mejor con agua.")
    expect(said(rosa, "Mejor con agua.")).to_be_visible()
    tally.step("Oscar comes in alone and answers")
    print(tally.report())
    as_the_readme_tells(*tally.in_all())


def as_the_readme_tells(taps: int, letters: int) -> None:
    """What the README says of this walk is what was counted, and its minutes follow from that."""
    told = re.search(r"(\d+) taps and (\d+) typed letters .* about (\d+) minutes", README.read_text("utf-8"))
    assert told is not None
    assert (taps, letters, round((3 * taps + letters) / 60)) == tuple(map(int, told.groups()))


def open_pharmacy(ivan: Page) -> None:
    """The operator's part: profile, hours, EHR and its test, each where the checklist goes on."""
    for field, value in {
        "id": "riverside",
        "name": "Riverside Pharmacy",
        "address": "12 Mill Lane",
        "phone": "+1 555 0100",
    }.items():
        ivan.locator(f"#{field}").fill(value)
    # The browser knows where it stands.
    expect(ivan.locator("#time_zone")).to_have_value("America/Chicago")
    ivan.get_by_role("button", name="Open this pharmacy").click()
    expect(ivan.locator("main")).to_contain_text("Not offered to patients yet")
    ivan.get_by_role("link", name="Go on: Opening hours").click()
    # Whenever this is walked, somebody is there.
    ivan.locator("#mon-always").check()
    ivan.locator("#same").check()
    for day in ("sat", "sun"):
        ivan.locator(f"#{day}-always").check()
    ivan.get_by_role("button", name="Save").click()
    expect(ivan.locator(".reach")).to_contain_text("Open day and night")
    ivan.get_by_role("link", name="Go on: Holidays").click()
    ivan.get_by_role("button", name="These are all").click()
    ivan.get_by_role("link", name="Go on: Topics").click()
    ivan.get_by_role("button", name="Save").click()
    # The address is the one that the portal was started with.
    ivan.get_by_role("link", name="Go on: Health record connection (EHR)").click()
    ivan.get_by_role("button", name="Save and test").click()
    reload_until(ivan, "Tested")
    expect(ivan.locator(".tag--urgent")).to_have_count(0)
    ivan.get_by_role("link", name="Back to the checklist").click()


def confirm(ruth: Page) -> None:
    """Ruth lays her finger on the reader once more: the act needs her keys. Returns when the dialog is gone."""
    ruth.locator("dialog").get_by_role("button", name=USE).click()
    ruth.locator("dialog").wait_for(state="detached")


def sheets(stage: Stage, ruth: Page) -> None:
    """Three sheets are made and printed, and two of them typed back."""
    ruth.get_by_role("link", name="Make the sheets").click()
    ruth.get_by_role("button", name="Begin").click()
    confirm(ruth)
    paper = on_paper(name_holders(ruth))
    ruth.get_by_role("button", name="Print", exact=True).click()
    ruth.get_by_role("button", name="type two back").click()
    # Nobody types that in five minutes after coming in: Ruth signs in once more, and what she typed stays.
    stage.grow_old("ruth")
    type_two(ruth, paper[0], paper[2])
    sign_in_apart(ruth, "ruth")
    ruth.get_by_role("button", name="Check", exact=True).click()
    ruth.get_by_text("The sheets work and count from now on").wait_for()
    ruth.get_by_role("link", name="Continue").click()
    expect(ruth.get_by_text("The sheets open it")).to_have_count(2)
    ruth.get_by_role("link", name="Back to the checklist").click()
    expect(ruth.get_by_role("link", name="Go on: Invite the first patient")).to_be_visible()


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
    reload_until(page, "E-mail sent")


def link_in_mail(stage: Stage, to: str) -> str:
    """The one link in the mail that somebody got."""
    (mail,) = [one for one in FileMailer(stage.demo.database.parent / "mail").sent() if one.to == to]
    (found,) = re.findall(r"http://localhost:\d+\S*", mail.text)
    return str(found)


def card_of_rosa(ruth: Page) -> str:
    """Rosa is found in the EHR by name and birth date; gives the code on her card."""
    ruth.get_by_role("link", name="Invite", exact=True).first.click()
    ruth.get_by_role("link", name="Invite a patient").click()
    ruth.locator("#name").fill("delgado")
    ruth.locator("#born").fill(ROSA["birthDate"])
    ruth.get_by_role("button", name="Find", exact=True).click()
    ruth.get_by_role("button", name="Print a card Rosa Delgado").click()
    return ruth.locator("article.handout .handout__letters").inner_text()


def comes_in(stage: Stage, tally: Tally, code: str) -> Page:
    """Rosa's telephone reads the card; she signs in, says when she was born, and locks her messages with her finger."""
    year, month, day = ROSA["birthDate"].split("-")
    rosa = tally.watch("rosa", stage.page("rosa", asked=True, locale="es-MX"))
    Authenticator(rosa)
    rosa.goto(f"/join?at=riverside&language=es#{code}")
    rosa.get_by_role("link", name="Iniciar sesión y seguir").click()
    give_password(rosa, "rosa")
    for name, value in (("day", day), ("month", month), ("year", year)):
        rosa.locator(f"#{name}").fill(value)
    rosa.get_by_role("button", name="Unir", exact=True).click()
    expect(rosa.get_by_text("Su cuenta está unida a su historia en Riverside Pharmacy.")).to_be_visible()
    rosa.get_by_role("link", name="Ver sus mensajes").click()
    rosa.get_by_role("button", name="Es mi propio dispositivo").click()
    rosa.get_by_role("button", name="Usar huella, rostro o bloqueo de pantalla").click()
    rosa.get_by_role("link", name="Nueva pregunta").first.wait_for()
    rosa.goto("/home")
    return rosa


def sent_in_spanish(page: Page, words: str) -> None:
    """Wait until the server has a message."""
    expect(said(page, words)).to_contain_text(re.compile("Enviado|Entregado|Leído"))
