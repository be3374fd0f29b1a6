"""Threads in a real Chromium: Alice asks, Bob answers, and nobody else sees anything of it."""

import base64
import re
from collections.abc import Callable, Iterator

import pytest
from complaints import Complaints
from demo_world import Demo, act, confirm_with, demo, get_code, sign_in, team
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

__all__ = ["demo"]
pytestmark = pytest.mark.browser
THREAD = re.compile(r"/thread/[0-9a-f]{32}$")
SOON = 15_000
# Chromium says on the console that an answer was a refusal, or that a line is down: both happen on purpose.
ON_PURPOSE = (
    r"status of (403|404|409|502)",
    # Somebody signs out while the open thread is asking for what is new.
    r"status of 401 .*/records\?after=",
    r"ERR_INTERNET_DISCONNECTED",
    r"ERR_NETWORK_IO_SUSPENDED",
)

Cast = Callable[[str], Page]


@pytest.fixture(scope="module")
def heard() -> Complaints:
    """What the browsers of these stories complain about."""
    kept = Complaints()
    for pattern in ON_PURPOSE:
        kept.allow(pattern)
    return kept


@pytest.fixture(scope="module")
def profiles(browser: Browser, demo: Demo, heard: Complaints) -> Iterator[dict[str, BrowserContext]]:
    """A browser profile for each person, kept through all stories. Bob has opened Riverside for messages."""
    made: dict[str, BrowserContext] = {}
    for name in ("alice", "bob", "carol", "dave", "rosa"):
        made[name] = browser.new_context(
            base_url=demo.url, viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="America/Chicago"
        )
        heard.listen(made[name])
    found_team(made["bob"].new_page())
    for name in ("alice", "carol", "dave"):
        page = made[name].new_page()
        sign_in(page, name, "/inbox")
        expect(page.locator("h1")).to_have_text(re.compile("Messages|Inbox"), timeout=30_000)
        page.close()
    yield made
    for context in made.values():
        context.close()


@pytest.fixture
def cast(profiles: dict[str, BrowserContext], heard: Complaints) -> Iterator[Cast]:
    """`cast("alice")`: a new tab of that person, who is signed in already."""
    opened: list[Page] = []

    def tab(name: str) -> Page:
        opened.append(profiles[name].new_page())
        return opened[-1]

    yield tab
    for page in opened:
        page.close()
    assert heard.unexpected() == []


def found_team(bob: Page) -> None:
    """Bob opens the pharmacy for messages."""
    sign_in(bob, "bob", "/team")
    expect(team(bob)).to_be_visible(timeout=30_000)
    code = get_code(bob)
    bob.goto("/team")
    team(bob).get_by_role("button", name="Found this team").click()
    confirm_with(bob, code)
    expect(team(bob)).to_have_attribute("data-gen", "1")
    bob.close()


def ask(page: Page, words: str, topic: str = "Something else") -> str:
    """Ask a question; gives the address of its thread."""
    page.goto("/new")
    page.get_by_text(topic, exact=True).click(timeout=SOON)
    write(page, words)
    page.wait_for_url(THREAD, timeout=20_000)
    expect(said(page, words)).to_be_visible(timeout=SOON)
    return page.url


def write(page: Page, words: str) -> None:
    """Write into the box that is open, and send it."""
    page.locator(".composer textarea").fill(words, timeout=SOON)
    page.locator(".composer button[type=submit]").click()


def send_when_ready(page: Page) -> None:
    """Send once the files are up."""
    button = page.locator(".composer button[type=submit]")
    expect(button).not_to_have_attribute("aria-disabled", "true", timeout=20_000)
    button.click()


def said(page: Page, words: str) -> Locator:
    """The message with these words."""
    return page.locator("article.bubble").filter(has_text=words)


def hears(page: Page, words: str) -> None:
    """Wait for a message."""
    expect(said(page, words)).to_be_visible(timeout=SOON)


def opens(page: Page, address: str) -> Page:
    """Open a thread and wait for it."""
    page.goto(address)
    expect(page.locator("article.bubble").first).to_be_visible(timeout=20_000)
    return page


def test_alice_asks_bob_answers_and_both_see_how_far_it_came(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    bob.goto("/inbox")
    expect(bob.get_by_role("heading", name="Inbox")).to_be_visible(timeout=SOON)
    ask(alice, "May I take ibuprofen with lisinopril?")
    row = bob.locator(".queue__row").filter(has_text="May I take ibuprofen")
    expect(row).to_contain_text("Needs an answer", timeout=SOON)
    expect(said(alice, "ibuprofen")).to_contain_text("Delivered", timeout=SOON)
    row.click()
    hears(bob, "May I take ibuprofen")
    expect(said(alice, "ibuprofen")).to_contain_text("Read by Bob Rivera", timeout=SOON)
    write(bob, "Better paracetamol.")
    hears(alice, "Better paracetamol.")
    expect(said(bob, "Better paracetamol.")).to_contain_text("Read by Alice", timeout=SOON)
    expect(row).not_to_contain_text("Needs an answer", timeout=SOON)
    expect(alice.locator(".readers")).to_contain_text("the pharmacists of Riverside Pharmacy (1 person)")


def test_bob_says_that_thanks_need_no_answer_and_takes_it_back(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Thank you for everything")
    opens(bob, address)
    row = bob.locator(".queue__row").filter(has_text="Thank you for everything")
    expect(row).to_contain_text("Needs an answer", timeout=SOON)
    bob.get_by_role("button", name="No answer needed").click()
    expect(row).not_to_contain_text("Needs an answer", timeout=SOON)
    bob.locator(".thread-head .more__button").click()
    bob.get_by_role("button", name="It does need an answer").click()
    expect(row).to_contain_text("Needs an answer", timeout=SOON)


def test_a_question_that_was_begun_survives_a_reload_and_goes_on(cast: Cast) -> None:
    alice = cast("alice")
    alice.goto("/new")
    alice.get_by_text("My medicine", exact=True).click(timeout=SOON)
    alice.get_by_role("button", name="Lisinopril 10 mg, tablet").click(timeout=20_000)
    # A medicine alone asks nothing.
    alice.locator(".composer button[type=submit]").click(timeout=SOON)
    expect(alice.get_by_text("First write what you want to say about it.")).to_be_visible()
    alice.get_by_label("In a few words").fill("About breakfast")
    alice.get_by_label("Your message").press_sequentially("Before or")
    alice.wait_for_timeout(400)
    alice.reload()
    expect(alice.get_by_label("Your message")).to_have_value("Before or", timeout=SOON)
    expect(alice.get_by_label("In a few words")).to_have_value("About breakfast")
    expect(alice.locator(".composer .chip")).to_contain_text("Lisinopril")
    alice.goto("/new")
    alice.get_by_role("button", name="Continue your draft").click(timeout=SOON)
    expect(alice.get_by_label("Your message")).to_have_value("Before or", timeout=SOON)
    alice.go_back()
    alice.get_by_role("button", name="Throw it away").click(timeout=SOON)
    expect(alice.get_by_role("button", name="Continue your draft")).to_have_count(0)


def test_the_newest_message_stays_in_view_when_the_box_grows_and_the_window_shrinks(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "A first word")
    for number in range(8):
        write(alice, f"Line {number}\n" * 6)
        hears(alice, f"Line {number}")
    opens(bob, address)
    write(bob, "The very last word")
    for page, width, height in ((bob, 1280, 900), (bob, 1366, 768), (alice, 390, 844), (alice, 360, 740)):
        page.set_viewport_size({"width": width, "height": height})
        expect(said(page, "The very last word")).to_be_in_viewport(ratio=1, timeout=SOON)
        page.get_by_label("Your message").fill("one\ntwo\nthree\nfour")
        expect(said(page, "The very last word")).to_be_in_viewport(ratio=0.9, timeout=SOON)
        page.get_by_label("Your message").fill("")


def test_neighbours_see_nothing(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "Only for the pharmacists of Riverside")
    for name in ("dave", "carol"):
        other = cast(name)
        other.goto(address)
        expect(other.get_by_text("We cannot find this conversation")).to_be_visible(timeout=20_000)
        other.goto("/inbox")
        nothing = other.get_by_text("No conversations yet").or_(other.get_by_text("You are not in a team"))
        expect(nothing).to_be_visible(timeout=SOON)
        assert "Only for the pharmacists" not in other.content()


def test_a_medicine_is_picked_not_typed_and_opens_without_the_ehr(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    alice.goto("/new")
    alice.get_by_text("My medicine", exact=True).click(timeout=SOON)
    alice.get_by_role("button", name="Lisinopril 10 mg, tablet").click(timeout=20_000)
    write(alice, "Before or after breakfast?")
    alice.wait_for_url(THREAD, timeout=20_000)
    opens(bob, alice.url)
    expect(bob.locator("h1")).to_contain_text(["My medicine: Lisinopril 10 mg, tablet"])
    expect(said(bob, "Before or after").locator(".chip")).to_contain_text("Take 1 tablet once a day")
    bob.route("**/api/patients/**", lambda route: route.abort())
    said(bob, "Before or after").locator(".chip > button").click()
    expect(bob.locator("dialog")).to_contain_text("MedicationRequest")
    bob.locator("dialog").get_by_role("button", name="Close").click()
    bob.unroute("**/api/patients/**")
    bob.get_by_role("button", name=re.compile("Metformin 500 mg")).first.click(timeout=SOON)
    write(bob, "After. The other one too.")
    expect(said(alice, "The other one too").locator(".chip")).to_contain_text("Metformin 500 mg", timeout=SOON)


def test_a_photo_loses_what_the_camera_noted(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "What is this pill?")
    drawn = alice.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(3000, 1500);
          const pen = canvas.getContext("2d");
          pen.fillStyle = "#c33"; pen.fillRect(0, 0, 3000, 1500);
          const bytes = new Uint8Array(await (await canvas.convertToBlob({type: "image/jpeg"})).arrayBuffer());
          return btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
        }"""
    )
    photo = with_exif(base64.b64decode(drawn), b"GPS 41.8781 N 87.6298 W")
    alice.set_input_files("input[type=file]", {"name": "../pill.jpg", "mimeType": "image/jpeg", "buffer": photo})
    expect(alice.get_by_role("button", name="Send", exact=True)).not_to_have_attribute(
        "aria-disabled", "true", timeout=20_000
    )
    alice.get_by_role("button", name="Send", exact=True).click()
    opens(bob, address)
    expect(bob.locator("img.bubble__image")).to_be_visible(timeout=20_000)
    assert bob.locator("img.bubble__image").get_attribute("src").startswith("blob:")  # type: ignore[union-attr]
    with bob.expect_download() as coming:
        bob.get_by_role("button", name=re.compile("pill")).click()
    got = coming.value.path().read_bytes()
    assert coming.value.suggested_filename == "pill.webp"
    assert got[8:12] == b"WEBP"
    assert b"Exif" not in got
    assert b"GPS" not in got


def with_exif(jpeg: bytes, note: bytes) -> bytes:
    """A JPEG with an EXIF segment, as a camera writes it."""
    content = b"Exif\0\0" + b"MM\0*\0\0\0\x08\0\0\0\0\0\0" + note
    return jpeg[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def test_a_file_that_is_no_picture_is_only_saved(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Here is my plan")
    page = b"<html><script>alert(1)</script></html>" * 40_000
    alice.set_input_files("input[type=file]", {"name": "plan.html", "mimeType": "text/html", "buffer": page})
    expect(alice.get_by_role("button", name="Send", exact=True)).not_to_have_attribute(
        "aria-disabled", "true", timeout=20_000
    )
    alice.get_by_role("button", name="Send", exact=True).click()
    opens(bob, address)
    with bob.expect_download() as coming:
        bob.get_by_role("button", name=re.compile("plan.html")).click(timeout=SOON)
    assert coming.value.path().read_bytes() == page
    assert bob.locator("img.bubble__image").count() == 0


def test_alice_corrects_and_takes_back(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "I take 5 mg")
    opens(bob, address)
    act(said(alice, "I take 5 mg"), "Correct")
    write(alice, "I take 10 mg")
    expect(said(bob, "I take 10 mg")).to_contain_text("Corrected", timeout=SOON)
    expect(said(bob, "I take 5 mg")).to_have_count(0)
    write(alice, "This belongs to another thread")
    hears(bob, "This belongs to another thread")
    expect(said(alice, "another thread")).to_contain_text("Read by Bob", timeout=SOON)
    act(said(alice, "another thread"), "Take back")
    alice.locator("dialog").get_by_role("button", name="Take back").click()
    expect(alice.get_by_text("This belongs to another thread")).to_have_count(0, timeout=SOON)
    expect(bob.locator("article").filter(has_text="took this message back")).to_contain_text(
        "It was read before by Bob Rivera", timeout=SOON
    )
    # Staff may still open what one of them had read; nobody else may.
    bob.reload()
    bob.get_by_text("Show what was taken back").click(timeout=SOON)
    expect(bob.get_by_text("This belongs to another thread")).to_be_visible()
    opens(alice, address)
    assert "This belongs to another thread" not in alice.content()


def test_what_was_written_offline_is_sent_after_a_reload(cast: Cast, profiles: dict[str, BrowserContext]) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "The line is bad here")
    opens(bob, address)
    profiles["alice"].set_offline(True)
    write(alice, "Can you still hear me?")
    expect(said(alice, "still hear me")).to_contain_text("Waiting to be sent", timeout=SOON)
    alice.close()
    profiles["alice"].set_offline(False)
    again = cast("alice")
    again.goto(address)
    hears(again, "Can you still hear me?")
    expect(said(again, "still hear me")).to_contain_text(re.compile("Sent|Delivered|Read"), timeout=20_000)
    hears(bob, "Can you still hear me?")
    expect(said(bob, "still hear me")).to_have_count(1)


def test_two_tabs_double_nothing(cast: Cast) -> None:
    first, bob = cast("alice"), cast("bob")
    address = ask(first, "I have you open twice")
    second = opens(cast("alice"), address)
    opens(bob, address)
    write(first, "from the first tab")
    write(second, "from the second tab")
    for page in (first, second, bob):
        for words in ("from the first tab", "from the second tab"):
            hears(page, words)
            expect(said(page, words)).to_have_count(1)
    write(bob, "I hear both")
    for page in (first, second):
        hears(page, "I hear both")
        expect(said(page, "I hear both")).to_have_count(1)


def test_a_patient_without_keys_is_let_in_at_her_first_sign_in(cast: Cast) -> None:
    bob, rosa = cast("bob"), cast("rosa")
    bob.goto("/new")
    bob.get_by_label("Patient").fill("Rosa", timeout=SOON)
    bob.get_by_role("button", name=re.compile("^Rosa")).click(timeout=20_000)
    bob.get_by_text("Something else", exact=True).click()
    write(bob, "Your test is back.")
    bob.wait_for_url(THREAD, timeout=20_000)
    expect(bob.locator("main")).to_contain_text("The patient cannot read this yet", timeout=SOON)
    path = new_path(bob.url)
    # Nobody of the pharmacy is there: she reads one plain note, and nothing that is meant for staff.
    bob.goto("about:blank")
    sign_in(rosa, "rosa", path)
    expect(rosa.get_by_text("La farmacia le escribió")).to_be_visible(timeout=SOON)
    assert rosa.locator("article.bubble, .composer").count() == 0
    bob.goto("/inbox")
    hears(rosa, "Your test is back.")
    bob.goto(path)
    expect(bob.locator(".messages")).to_contain_text("can read this conversation now", timeout=SOON)
    write(rosa, "Gracias")
    hears(bob, "Gracias")


def new_path(address: str) -> str:
    """The path of an address."""
    return re.sub(r"^https?://[^/]+", "", address)


def test_words_of_an_emergency_raise_the_card_before_anything_is_sent(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Nothing bad so far")
    opens(bob, address)
    write(alice, "I have chest pain since this morning")
    card = alice.locator(".emergency")
    expect(card).to_contain_text("911")
    card.get_by_role("button", name="Back to my message").click()
    expect(alice.get_by_label("Your message")).to_have_value("I have chest pain since this morning")
    assert said(bob, "chest pain").count() == 0
    alice.get_by_role("button", name="Send", exact=True).click()
    card.get_by_role("button", name="Send anyway, as urgent").click()
    expect(said(bob, "chest pain")).to_contain_text("Urgent", timeout=SOON)
    assert alice.locator(".composer textarea").get_attribute("autocorrect") == "off"
    write(alice, "No chest pain any more")
    hears(bob, "No chest pain any more")


def test_a_draft_survives_signing_out(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "I will write more later")
    alice.get_by_label("Your message").fill("As I was about to sa")
    expect(alice.get_by_text("Draft saved, locked")).to_be_visible(timeout=SOON)
    alice.get_by_role("button", name="Sign out").first.click()
    alice.wait_for_url(re.compile(r"/logged-out$"), timeout=SOON)
    sign_in(alice, "alice", new_path(address))
    expect(alice.get_by_label("Your message")).to_have_value("As I was about to sa", timeout=20_000)


def test_the_workbench_goes_by_keys(cast: Cast) -> None:
    bob = cast("bob")
    bob.goto("/inbox")
    expect(bob.locator(".queue__row").nth(1)).to_be_visible(timeout=SOON)
    bob.keyboard.press("j")
    expect(bob.locator(".queue__row").first).to_have_attribute("aria-current", "true")
    bob.keyboard.press("j")
    expect(bob.locator(".queue__row").nth(1)).to_have_attribute("aria-current", "true")
    bob.keyboard.press("k")
    expect(bob.locator(".queue__row").first).to_have_attribute("aria-current", "true")
    expect(bob.locator(".allergies").first).to_be_visible(timeout=SOON)
    expect(bob.locator(".composer textarea")).to_be_visible(timeout=SOON)
    bob.keyboard.press("r")
    expect(bob.get_by_label("Your message")).to_be_focused()


def test_nobody_reads_before_monday_is_said_while_writing_and_after(cast: Cast) -> None:
    alice = cast("alice")
    closed = {
        "open_now": False,
        "next_open": "2031-01-06T14:00:00.000Z",
        "nobody_reads_before": "2031-01-06T14:00:00.000Z",
    }

    def shut(route: Route) -> None:
        answer = route.fetch()
        said_so = answer.json()
        route.fulfill(response=answer, json={**said_so, "items": [{**one, **closed} for one in said_so["items"]]})

    alice.route("**/api/pharmacies", shut)
    ask(alice, "When is this read?")
    # One note at a time: below what was sent, or at the box while she writes.
    places = alice.locator(".messages"), alice.locator(".composer")
    for shown, hidden in (places, places[::-1]):
        for words in ("Nobody reads this before", "8:00", "Call +1 555 0101"):
            expect(shown.get_by_text(words).first).to_be_visible(timeout=SOON)
        expect(hidden.get_by_text("Nobody reads this before")).to_be_hidden()
        alice.get_by_label("Your message").focus()
    alice.unroute("**/api/pharmacies")


def test_a_server_that_shows_less_than_before_is_not_believed(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "Remember this")
    write(alice, "and this")
    expect(said(alice, "and this")).to_contain_text(re.compile("Sent|Delivered|Read"), timeout=SOON)
    thread = address.rsplit("/", 1)[1]

    def shorter(route: Route) -> None:
        answer = route.fetch()
        page = answer.json()
        route.fulfill(response=answer, json={**page, "items": page["items"][:-1]})

    alice.route(re.compile(f"/api/threads/{thread}/records"), shorter)
    alice.reload()
    expect(alice.locator(".banner--urgent")).to_contain_text("shows less than this browser saw", timeout=SOON)
    expect(alice.locator(".composer")).to_contain_text("You cannot write here")
    expect(alice.get_by_role("link", name="Call +1 555 0100")).to_be_visible()
    alice.unroute(re.compile(f"/api/threads/{thread}/records"))


def test_a_record_that_was_changed_on_the_way_is_not_shown(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "Take one a day")
    write(alice, "or is it two?")
    expect(said(alice, "or is it two")).to_contain_text(re.compile("Sent|Delivered|Read"), timeout=SOON)
    thread = address.rsplit("/", 1)[1]

    def changed(route: Route) -> None:
        answer = route.fetch()
        page = answer.json()
        if not page["items"]:
            return route.fulfill(response=answer)
        last = page["items"][-1]["record"]
        last["ct"] = ("A" if last["ct"][99] != "A" else "B").join((last["ct"][:99], last["ct"][100:]))
        return route.fulfill(response=answer, json=page)

    alice.route(re.compile(f"/api/threads/{thread}/records"), changed)
    alice.reload()
    expect(alice.locator(".banner--urgent")).to_contain_text("ciphertext hash", timeout=SOON)
    expect(said(alice, "Take one a day")).to_be_visible()
    expect(said(alice, "or is it two")).to_have_count(0)
    alice.unroute(re.compile(f"/api/threads/{thread}/records"))


def test_what_staff_print_names_the_patient_twice_over_and_is_on_record(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Please print this")
    sheet = "document.querySelector('body > .print-only').textContent"
    bob.add_init_script(f"window.print = () => {{ document.body.dataset.paper = {sheet} }}")
    opens(bob, address)
    expect(bob.locator(".patient__row")).to_contain_text("born Mar 14, 1974", timeout=20_000)
    with bob.expect_response("**/api/prints") as noted:
        bob.locator(".thread-head .more__button").click()
        bob.get_by_role("button", name="Print this conversation").click()
    assert noted.value.status == 204
    expect(bob.locator("body")).to_have_attribute("data-paper", re.compile("."), timeout=SOON)
    paper = bob.locator("body").get_attribute("data-paper") or ""
    for words in ("Please print this", "Mar 14, 1974", "MR", "Riverside Pharmacy"):
        assert words in paper


def test_the_last_view_stays_when_the_ehr_does_not_answer(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Do you still see my list?")
    opens(bob, address)
    expect(bob.locator(".context")).to_contain_text("Lisinopril 10 mg", timeout=20_000)
    down = {"type": "about:blank", "code": "ehr-unavailable", "status": 502, "detail": "The EHR does not answer."}
    bob.route("**/api/patients/*/context*", lambda route: route.fulfill(status=502, json=down))
    bob.reload()
    expect(bob.locator(".context--down")).to_contain_text("Lisinopril 10 mg", timeout=20_000)
    expect(bob.locator(".allergies").first).to_contain_text("penicillin")
    hears(bob, "Do you still see my list?")
    bob.unroute("**/api/patients/*/context*")
