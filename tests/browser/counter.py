"""The counter's computer, which three of the pharmacy share: their first day, their turns, what they are asked."""

import re
import time
from dataclasses import dataclass, field

from demo_world import PASSWORD, confirm_with, get_code, give_password, sign_in, team
from playwright.sync_api import Locator, Page, expect
from talking import hears, sent

from portal.connector.client import PortalClient
from portal.connector.member import Member
from portal.connector.messages import Message
from portal.e2ee.records import Role


@dataclass(frozen=True)
class Colleague:
    """One of the three: the team and topic that this person alone has here, and the own PIN."""

    login: str
    name: str
    team: str
    topic: str
    pin: str

    def question(self, number: int) -> str:
        """A question that only this person is to read; each is found again by its word."""
        return f"May I ask you something? {self.login}question{number:02}"

    def answer(self, number: int) -> str:
        """The answer to it, which begins as a draft."""
        return f"Yes, and come by when you can. {self.login}answer{number:02}"

    @property
    def words(self) -> re.Pattern[str]:
        """What stands in every question and answer of this person, and nowhere else."""
        return re.compile(rf"{self.login}(question|answer)\d\d")


BOB = Colleague("bob", "Bob", "pharmacists", "other", "402715")
FRANK = Colleague("frank", "Frank", "desk", "billing", "730284")
HEIDI = Colleague("heidi", "Heidi", "privacy", "privacy", "918273")
STAFF = (BOB, FRANK, HEIDI)


def share_with_pin(page: Page, pin: str) -> None:
    """At the first sign-in: others use this device too."""
    page.get_by_role("button", name="Others use it too").click()
    page.fill("#pin-new", pin)
    page.fill("#pin-again", pin)
    page.get_by_role("button", name="Use this PIN").click()


def unlock(page: Page, pin: str) -> None:
    """Type the PIN on the lock page."""
    page.fill("#pin", pin)
    page.get_by_role("button", name="Unlock").click()


def lock(page: Page) -> None:
    """One key locks."""
    page.get_by_role("button", name="Lock (F8)").locator("visible=true").wait_for()
    page.keyboard.press("F8")
    page.locator("#pin").wait_for()


def choose(page: Page, who: Colleague) -> None:
    """The next one comes, and takes the own tile."""
    page.locator("[data-person]").filter(has_text=who.name).click()
    expect(page.locator("main .lead")).to_contain_text(who.name)
    page.locator("#pin").wait_for()


def first_day(page: Page, address: str) -> None:
    """All three sign in at the counter, choose a PIN, make a code and found a team each; then it is locked."""
    for who in STAFF:
        if who is STAFF[0]:
            sign_in(page, who.login, "/recovery")
        else:
            page.get_by_role("button", name="Sign in as somebody else").click()
            give_password(page, who.login)
            page.wait_for_url(f"{address}/**")
            page.goto("/recovery")
        share_with_pin(page, who.pin)
        page.wait_for_url("**/recovery")
        code = get_code(page)
        page.goto("/team")
        team(page, who.team).get_by_role("button", name="Set up this team").click()
        confirm_with(page, code)
        expect(team(page, who.team)).to_have_attribute("data-gen", "1")
        lock(page)


def alice_asks(address: str, questions: int) -> dict[str, list[str]]:
    """A patient asks all three by turns, each question a conversation of its own; gives their paths by login."""
    with PortalClient(address) as client:
        client.sign_in("alice", PASSWORD)
        alice = Member.enrol(client, passphrase="river lantern copper meadow violin", device_name="Her telephone")
        patient = str(client.session()["patients"][0]["patient"])
        paths: dict[str, list[str]] = {who.login: [] for who in STAFF}
        for number in range(questions):
            who = STAFF[number % len(STAFF)]
            asked = alice.start_thread(
                Message(who.question(len(paths[who.login]))),
                pharmacy="riverside",
                patient=patient,
                topic=who.topic,
                team=f"riverside_{who.team}",
                people={alice.person.id: Role.PATIENT},
            )
            paths[who.login].append(f"/thread/{asked.id}")
    return paths


@dataclass
class Turns:
    """What the three do at the counter: each answers the own questions by turns, and leaves in the middle of one."""

    page: Page
    paths: dict[str, list[str]]
    # How many each has answered, and the seconds from the press of "Unlock" until the own question stood there again.
    answered: dict[str, int] = field(default_factory=lambda: {who.login: 0 for who in STAFF})
    drafted: set[str] = field(default_factory=set)
    unlocking: list[float] = field(default_factory=list)

    def comes(self, who: Colleague) -> None:
        """A tile, a PIN, and whoever was here before is in the same conversation with the same draft."""
        choose(self.page, who)
        self.page.fill("#pin", who.pin)
        began = time.perf_counter()
        self.page.get_by_role("button", name="Unlock").click()
        if who.login not in self.drafted:
            self.page.get_by_role("button", name="Lock (F8)").locator("visible=true").wait_for()
            return
        number = self.answered[who.login]
        hears(self.page, who.question(number))
        self.unlocking.append(time.perf_counter() - began)
        expect(self.page).to_have_url(re.compile(re.escape(self.paths[who.login][number])))
        expect(self.box).to_have_value(who.answer(number))

    def works(self, who: Colleague, *, until: int) -> None:
        """Answer up to the question of this number, and begin the next answer where there is one."""
        while self.answered[who.login] < until:
            self._begins(who)
            self._sends(who)
        if until < len(self.paths[who.login]):
            self._begins(who)

    def _begins(self, who: Colleague) -> None:
        if who.login in self.drafted:
            return
        number = self.answered[who.login]
        self.page.goto(self.paths[who.login][number])
        hears(self.page, who.question(number))
        self.box.fill(who.answer(number))
        expect(self.page.get_by_text("Draft saved, locked")).to_be_visible()
        self.drafted.add(who.login)

    def _sends(self, who: Colleague) -> None:
        number = self.answered[who.login]
        self.page.locator(".composer button[type=submit]").click()
        sent(self.page, who.answer(number))
        self.answered[who.login] = number + 1
        self.drafted.discard(who.login)

    @property
    def box(self) -> Locator:
        """Where one writes."""
        return self.page.locator(".composer textarea")
