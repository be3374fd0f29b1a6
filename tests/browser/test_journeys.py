"""Whole journeys in a real Chromium, from what a person was told to what the person wanted.

Each begins with browsers that know nothing. Taps are counted as a person makes them: into a field, on a button.
"""

import re
from collections.abc import Iterator

import pytest
from checks import NARROW, axe
from demo_world import Demo, confirm_with, team
from playwright.sync_api import Browser, Locator, Page, expect
from stage import Stage, founded_stage
from talking import THREAD, ask, hears, said, say, sent

pytestmark = pytest.mark.browser
MOST_TAPS = 15


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists."""
    with founded_stage(demo, browser, r"status of (401|403|404|409)") as made:
        yield made


class Hand:
    """A person's hand on a telephone: it taps, and it types what the person knows."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.taps = 0
        self.secrets: list[str] = []

    def tap(self, place: Locator) -> None:
        """One tap, on something that is there; nothing is ever wider than the screen."""
        expect(place).to_be_visible()
        assert self.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        place.click()
        self.taps += 1

    def type(self, field: Locator, words: str) -> None:
        """A tap into a field, and words."""
        self.tap(field)
        if field.get_attribute("type") == "password":
            self.secrets.append(words)
        field.fill(words)


def telephone(stage: Stage, who: str, locale: str = "en-US") -> Page:
    """A new telephone, 320 px wide, whose owner reads text of double size."""
    page = stage.page(who, viewport=NARROW, has_touch=True, locale=locale)
    page.context.add_cookies([{"name": "portal_text", "value": "large", "url": stage.demo.url}])
    return page


def test_pat_who_never_signed_in_sends_a_first_question(stage: Stage) -> None:
    """Told only: you are a patient of Riverside Pharmacy, ask about your pills."""
    page = telephone(stage, "pat")
    page.goto("/")
    hand = Hand(page)
    hand.tap(page.get_by_role("link", name="Sign in to ask"))
    hand.type(page.locator("#login"), "pat")
    hand.type(page.locator("#password"), "demo")
    hand.tap(page.locator("form").filter(has=page.locator("#password")).get_by_role("button"))
    hand.tap(page.get_by_role("link", name="Ask a question"))
    hand.tap(page.get_by_text("My medicine", exact=True))
    hand.tap(page.get_by_role("button", name="Lisinopril"))
    hand.type(page.locator(".composer textarea"), "May I take my pills in the evening?")
    hand.tap(page.locator(".composer button[type=submit]"))
    page.wait_for_url(THREAD)
    hears(page, "May I take my pills in the evening?")
    expect(said(page, "May I take my pills")).to_contain_text(re.compile("Sent|Delivered"))
    expect(said(page, "May I take my pills")).to_contain_text("Lisinopril 10 mg")
    assert hand.taps <= MOST_TAPS
    # The demo's password at the provider, and nothing else.
    assert hand.secrets == ["demo"]
    bob = stage.with_keys("bob", "/inbox")
    bob.locator(".queue__row").filter(has_text="May I take my pills in the evening?").click()
    hears(bob, "May I take my pills in the evening?")


def test_rosa_reads_the_waiting_message_in_spanish(stage: Stage) -> None:
    bob = stage.with_keys("bob", "/new")
    bob.locator("#find").fill("Rosa")
    bob.get_by_role("button", name=re.compile("^Rosa")).click()
    bob.get_by_text("Something else", exact=True).click()
    say(bob, "Su valor de INR es 2,4. Siga con la misma dosis.")
    bob.wait_for_url(THREAD)
    sent(bob, "Siga con la misma dosis.")
    page = telephone(stage, "rosa", "es-ES")
    page.goto("/")
    hand = Hand(page)
    hand.tap(page.get_by_role("link", name="Iniciar sesión y preguntar"))
    hand.type(page.locator("#login"), "rosa")
    hand.type(page.locator("#password"), "demo")
    hand.tap(page.locator("form").filter(has=page.locator("#password")).get_by_role("button"))
    hand.tap(page.get_by_role("link", name=re.compile("^Mis mensajes")))
    hand.tap(page.locator(".queue__row").first)
    hears(page, "Siga con la misma dosis.")
    expect(page.locator("html")).to_have_attribute("lang", "es")
    hand.type(page.locator(".composer textarea"), "Gracias, muy amable")
    hand.tap(page.locator(".composer button[type=submit]"))
    hears(bob, "Gracias, muy amable")
    assert hand.taps <= MOST_TAPS
    assert hand.secrets == ["demo"]


def test_alice_and_bob_talk_with_medicines_beside_and_nobody_else_hears(stage: Stage) -> None:
    alice, bob = stage.with_keys("alice", "/home"), stage.with_keys("bob", "/inbox")
    alice.get_by_role("link", name=re.compile("Ask about this.+Metformin")).first.click()
    expect(alice.get_by_text("Metformin 500 mg, slow-release tablet").first).to_be_visible()
    say(alice, "My stomach hurts since I take it")
    alice.wait_for_url(THREAD)
    sent(alice, "My stomach hurts")
    path = "/thread/" + alice.url.rsplit("/", 1)[1]
    bob.locator(".queue__row").filter(has_text="My stomach hurts").click()
    hears(bob, "My stomach hurts")
    for words in ("Penicillin", "Lisinopril 10 mg", "Order 1042"):
        expect(bob.locator(".three").get_by_text(words).first).to_be_visible()
    bob.get_by_role("button", name=re.compile("Add to message: Order 1042")).click()
    say(bob, "Take it with dinner. This order brings more.")
    hears(alice, "Take it with dinner.")
    expect(said(alice, "Take it with dinner.")).to_contain_text("Order 1042")
    expect(said(bob, "My stomach hurts")).to_contain_text("Metformin 500 mg")
    expect(said(bob, "Take it with dinner.")).to_contain_text("Read by Alice Morgan")

    patient = alice.evaluate("fetch('/api/session').then((a) => a.json())")["patients"][0]["patient"]
    for name in ("dave", "carol"):
        other = stage.with_keys(name, "/account")
        stage.complaints.allow("status of 404")
        thread = path.rsplit("/", 1)[1]
        for route in (f"/api/threads/{thread}", f"/api/threads/{thread}/records", f"/api/audit?patient={patient}",
                      f"/api/patients/{patient}/context?pharmacy=riverside"):  # fmt: skip
            status, text = other.evaluate("(path) => fetch(path).then(async (a) => [a.status, await a.text()])", route)
            assert status in (403, 404), (name, route)
            assert "etformin" not in text
        other.goto(path)
        expect(other.get_by_text("We cannot find this conversation")).to_be_visible()
        other.goto("/inbox")
        other.locator("main h1").first.wait_for()
        assert "stomach" not in other.locator("body").inner_text()

    page = stage.at("alice", "/record")
    log = page.locator("main").inner_text()
    assert "Bob Rivera" in log
    assert "Looked at medicines, allergies and orders" in log
    # That somebody tried and got nothing is what Alice may know.
    for name in ("Carol Jones", "Dave Novak"):
        for tried in page.locator(".log__row").filter(has_text=name).all():
            expect(tried).to_contain_text("Refused")
            assert "Opened a conversation" not in tried.inner_text()


def test_a_conversation_reads_well_to_a_screen_reader(stage: Stage) -> None:
    """Each message says who, when and its state; the whole is a region with a name."""
    alice = stage.with_keys("alice", "/home")
    path = ask(alice, "Is there sugar in it?")
    bob = stage.with_keys("bob", path)
    hears(bob, "Is there sugar in it?")
    say(bob, "No, none.")
    hears(alice, "No, none.")
    expect(said(alice, "Is there sugar")).to_contain_text("Read by Bob Rivera")
    expect(alice.locator(".messages")).to_match_aria_snapshot(
        """
        - region "Messages in this conversation":
          - list:
            - listitem:
              - article /^You, Patient, .+\\. Read by Bob Rivera/:
                - paragraph: Is there sugar in it?
            - listitem:
              - article /^Bob Rivera, Pharmacist, .+\\. Received$/:
                - paragraph: No, none.
        """
    )
    names = alice.locator("article.bubble").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")
    assert len(names) == 2
    assert all(re.fullmatch(r"[^,]+, [^,]+, .*(now|ago|today|\d).*\. .+", name) for name in names), names
    alice.locator("article.bubble").first.focus()
    assert alice.evaluate("document.activeElement.getAttribute('aria-label')") == names[0]
    assert axe(alice) == []


def test_alicias_profile_is_deleted_and_code_and_passphrase_bring_all_back(stage: Stage) -> None:
    alicia = stage.with_keys("alicia", "/home")
    path = ask(alicia, "Remember this question")
    code = stage.with_code("alicia")
    page = stage.with_keys("alicia", "/recovery")
    page.get_by_role("button", name="Choose a passphrase").click()
    confirm_with(page, code)
    words = " ".join(page.locator(".words > li").all_inner_texts())
    page.get_by_role("button", name="Use these words").click()
    page.get_by_role("button", name="Save").click()
    page.locator("#secret-passphrase").wait_for()
    stage.forget("alicia")
    for method, secret in (("code", code), ("passphrase", words)):
        profile = f"alicia with her {method}"
        fresh = stage.at(profile, path, login="alicia")
        fresh.wait_for_url("**/recover*")
        fresh.locator("#secret-code").wait_for()
        if method == "passphrase":
            fresh.get_by_text("Passphrase", exact=True).click()
        fresh.locator(f"#secret-{method}").fill(secret)
        fresh.get_by_role("button", name="Get my messages back").click()
        fresh.wait_for_url(f"**{path}")
        hears(fresh, "Remember this question")
        fresh.goto("/messages")
        expect(fresh.locator(".queue__row").filter(has_text="Remember this question")).to_be_visible()
        expect(fresh.get_by_text("Opening…")).to_have_count(0)
        assert fresh.get_by_text("Cannot be read here").count() == 0
        stage.forget(profile)


def test_erin_joins_and_reads_the_past_and_leaves_and_reads_nothing_newer(stage: Stage) -> None:
    nina = stage.with_keys("nina", "/home")
    path = ask(nina, "Asked before Erin came")
    erins = stage.with_code("erin")
    erin = stage.with_keys("erin", "/team")
    team(erin).get_by_role("button", name="Ask to join").click()
    expect(team(erin)).to_contain_text("You asked to join")
    bob = stage.with_keys("bob", "/team")
    team(bob).get_by_role("button", name="Let in Erin Walsh").click()
    confirm_with(bob, stage.codes["bob"])
    expect(team(bob)).to_have_attribute("data-gen", "2")
    erin = stage.with_keys("erin", path)
    hears(erin, "Asked before Erin came")
    assert erins != stage.codes["bob"]

    bob = stage.with_keys("bob", "/team")
    team(bob).get_by_role("button", name="Take out Erin Walsh").click()
    confirm_with(bob, stage.codes["bob"])
    expect(team(bob)).to_have_attribute("data-gen", "3")
    # She has not touched her page: it says so, and what was on it is gone.
    expect(erin.get_by_text("You were taken out")).to_be_visible()
    expect(erin.get_by_text("Asked before Erin came")).to_have_count(0)
    say(nina, "Asked after Erin left")
    bob = stage.with_keys("bob", path)
    hears(bob, "Asked after Erin left")
    erin = stage.with_keys("erin", path)
    expect(erin.get_by_text("We cannot find this conversation")).to_be_visible()
    assert "Asked after Erin left" not in erin.locator("body").inner_text()
