"""Threads in a real Chromium: Alice asks, Bob answers, and nobody else sees anything of it."""

import base64
import re
from collections.abc import Callable, Iterator

import pytest
from complaints import Complaints
from demo_world import Demo, act, sign_in
from playwright.sync_api import Browser, Page, Route, expect
from stage import Stage, on_stage
from talking import THREAD, ask, hears, said, say, send_when_up, sent

pytestmark = pytest.mark.browser
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
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists."""
    heard = Complaints()
    for pattern in ON_PURPOSE:
        heard.allow(pattern)
    with on_stage(demo, browser, heard) as made:
        made.founded()
        yield made


@pytest.fixture
def cast(stage: Stage) -> Iterator[Cast]:
    """`cast("alice")`: a new tab of that person, who is signed in already and has keys."""
    opened: list[Page] = []

    def tab(name: str) -> Page:
        opened.append(stage.tab(name))
        return opened[-1]

    yield tab
    for page in opened:
        if not page.is_closed():
            page.unroute_all(behavior="ignoreErrors")
            page.close()
    assert stage.complaints.unexpected() == []


def opens(page: Page, address: str) -> Page:
    """Open a thread and wait for it."""
    page.goto(address)
    expect(page.locator("article.bubble").first).to_be_visible()
    return page


def test_alice_asks_bob_answers_and_both_see_how_far_it_came(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    bob.goto("/inbox")
    expect(bob.get_by_role("heading", name="Inbox")).to_be_visible()
    ask(alice, "May I take ibuprofen with lisinopril?")
    row = bob.locator(".queue__row").filter(has_text="May I take ibuprofen")
    expect(row).to_contain_text("Needs an answer")
    expect(said(alice, "ibuprofen")).to_contain_text("Delivered")
    row.click()
    hears(bob, "May I take ibuprofen")
    expect(said(alice, "ibuprofen")).to_contain_text("Read by Bob Rivera")
    say(bob, "Better paracetamol.")
    hears(alice, "Better paracetamol.")
    expect(said(bob, "Better paracetamol.")).to_contain_text("Read by Alice")
    expect(row).not_to_contain_text("Needs an answer")
    expect(alice.locator(".readers")).to_contain_text("the pharmacists of Riverside Pharmacy (1 person)")


def test_bob_says_that_thanks_need_no_answer_and_takes_it_back(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Thank you for everything")
    opens(bob, address)
    row = bob.locator(".queue__row").filter(has_text="Thank you for everything")
    expect(row).to_contain_text("Needs an answer")
    bob.get_by_role("button", name="No answer needed").click()
    expect(row).not_to_contain_text("Needs an answer")
    bob.locator(".thread-head .more__button").click()
    bob.get_by_role("button", name="It does need an answer").click()
    expect(row).to_contain_text("Needs an answer")


def test_a_question_that_was_begun_survives_a_reload_and_goes_on(cast: Cast) -> None:
    alice = cast("alice")
    alice.goto("/new")
    alice.get_by_text("My medicine", exact=True).click()
    alice.get_by_role("button", name="Lisinopril 10 mg, tablet").click()
    # A medicine alone asks nothing.
    alice.locator(".composer button[type=submit]").click()
    expect(alice.get_by_text("First write what you want to say about it.")).to_be_visible()
    alice.get_by_label("In a few words").fill("About breakfast")
    alice.get_by_label("Your message").press_sequentially("Before or")
    expect(alice.get_by_text("Draft saved, locked")).to_be_visible()
    alice.reload()
    expect(alice.get_by_label("Your message")).to_have_value("Before or")
    expect(alice.get_by_label("In a few words")).to_have_value("About breakfast")
    expect(alice.locator(".composer .chip")).to_contain_text("Lisinopril")
    alice.goto("/new")
    alice.get_by_role("button", name="Continue your draft").click()
    expect(alice.get_by_label("Your message")).to_have_value("Before or")
    alice.go_back()
    alice.get_by_role("button", name="Throw it away").click()
    expect(alice.get_by_role("button", name="Continue your draft")).to_have_count(0)


def test_the_newest_message_stays_in_view_when_the_box_grows_and_the_window_shrinks(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "A first word")
    for number in range(8):
        say(alice, f"Line {number}\n" * 6)
        hears(alice, f"Line {number}")
    opens(bob, address)
    # Alice's own page shows her lines before they are sent: the last word is the last only after them.
    hears(bob, "Line 7")
    say(bob, "The very last word")
    hears(alice, "The very last word")
    for page, width, height in ((bob, 1280, 900), (bob, 1366, 768), (alice, 390, 844), (alice, 360, 740)):
        page.set_viewport_size({"width": width, "height": height})
        expect(said(page, "The very last word")).to_be_in_viewport(ratio=1)
        page.get_by_label("Your message").fill("one\ntwo\nthree\nfour")
        expect(said(page, "The very last word")).to_be_in_viewport(ratio=0.9)
        page.get_by_label("Your message").fill("")


def test_neighbours_see_nothing(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "Only for the pharmacists of Riverside")
    for name in ("dave", "carol"):
        other = cast(name)
        other.goto(address)
        expect(other.get_by_text("We cannot find this conversation")).to_be_visible()
        other.goto("/inbox")
        nothing = other.get_by_text("No conversations yet").or_(other.get_by_text("You are not in a team"))
        expect(nothing).to_be_visible()
        assert "Only for the pharmacists" not in other.content()


def test_a_medicine_is_picked_not_typed_and_opens_without_the_ehr(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    alice.goto("/new")
    alice.get_by_text("My medicine", exact=True).click()
    alice.get_by_role("button", name="Lisinopril 10 mg, tablet").click()
    say(alice, "Before or after breakfast?")
    alice.wait_for_url(THREAD)
    opens(bob, alice.url)
    expect(bob.locator("h1")).to_contain_text(["My medicine: Lisinopril 10 mg, tablet"])
    expect(said(bob, "Before or after").locator(".chip")).to_contain_text("Take 1 tablet once a day")
    bob.route("**/api/patients/**", lambda route: route.abort())
    said(bob, "Before or after").locator(".chip > button").click()
    expect(bob.locator("dialog")).to_contain_text("MedicationRequest")
    bob.locator("dialog").get_by_role("button", name="Close").click()
    bob.unroute("**/api/patients/**")
    bob.get_by_role("button", name=re.compile("Metformin 500 mg")).first.click()
    say(bob, "After. The other one too.")
    expect(said(alice, "The other one too").locator(".chip")).to_contain_text("Metformin 500 mg")


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
    send_when_up(alice)
    opens(bob, address)
    expect(bob.locator("img.bubble__image")).to_be_visible()
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
    send_when_up(alice)
    opens(bob, address)
    with bob.expect_download() as coming:
        bob.get_by_role("button", name=re.compile("plan.html")).click()
    assert coming.value.path().read_bytes() == page
    assert bob.locator("img.bubble__image").count() == 0


def test_alice_corrects_and_takes_back(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "I take 5 mg")
    opens(bob, address)
    act(said(alice, "I take 5 mg"), "Correct")
    say(alice, "I take 10 mg")
    expect(said(bob, "I take 10 mg")).to_contain_text("Corrected")
    expect(said(bob, "I take 5 mg")).to_have_count(0)
    say(alice, "This belongs to another thread")
    hears(bob, "This belongs to another thread")
    expect(said(alice, "another thread")).to_contain_text("Read by Bob")
    act(said(alice, "another thread"), "Take back")
    alice.locator("dialog").get_by_role("button", name="Take back").click()
    expect(alice.get_by_text("This belongs to another thread")).to_have_count(0)
    expect(bob.locator("article").filter(has_text="took this message back")).to_contain_text(
        "It was read before by Bob Rivera"
    )
    # Staff may still open what one of them had read; nobody else may.
    bob.reload()
    bob.get_by_text("Show what was taken back").click()
    expect(bob.get_by_text("This belongs to another thread")).to_be_visible()
    opens(alice, address)
    assert "This belongs to another thread" not in alice.content()


def test_what_was_written_offline_is_sent_after_a_reload(cast: Cast, stage: Stage) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "The line is bad here")
    opens(bob, address)
    stage.offline("alice")
    say(alice, "Can you still hear me?")
    expect(said(alice, "still hear me")).to_contain_text("Waiting to be sent")
    alice.close()
    stage.online("alice")
    again = cast("alice")
    again.goto(address)
    hears(again, "Can you still hear me?")
    sent(again, "still hear me")
    hears(bob, "Can you still hear me?")
    expect(said(bob, "still hear me")).to_have_count(1)


def test_two_tabs_double_nothing(cast: Cast) -> None:
    first, bob = cast("alice"), cast("bob")
    address = ask(first, "I have you open twice")
    second = opens(cast("alice"), address)
    opens(bob, address)
    say(first, "from the first tab")
    say(second, "from the second tab")
    for page in (first, second, bob):
        for words in ("from the first tab", "from the second tab"):
            hears(page, words)
            expect(said(page, words)).to_have_count(1)
    say(bob, "I hear both")
    for page in (first, second):
        hears(page, "I hear both")
        expect(said(page, "I hear both")).to_have_count(1)


def test_a_patient_without_keys_is_let_in_at_her_first_sign_in(cast: Cast, stage: Stage) -> None:
    bob, rosa = cast("bob"), stage.page("rosa")
    bob.goto("/new")
    bob.get_by_label("Patient").fill("Rosa")
    bob.get_by_role("button", name=re.compile("^Rosa")).click()
    bob.get_by_text("Something else", exact=True).click()
    say(bob, "Your test is back.")
    bob.wait_for_url(THREAD)
    expect(bob.locator("main")).to_contain_text("The patient cannot read this yet")
    path = bob.url.removeprefix(stage.demo.url)
    # Nobody of the pharmacy is there: she reads one plain note, and nothing that is meant for staff.
    bob.goto("about:blank")
    sign_in(rosa, "rosa", path)
    expect(rosa.get_by_text("La farmacia le escribió")).to_be_visible()
    assert rosa.locator("article.bubble, .composer").count() == 0
    bob.goto("/inbox")
    hears(rosa, "Your test is back.")
    bob.goto(path)
    expect(bob.locator(".messages")).to_contain_text("can read this conversation now")
    say(rosa, "Gracias")
    hears(bob, "Gracias")


def test_words_of_an_emergency_raise_the_card_before_anything_is_sent(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Nothing bad so far")
    opens(bob, address)
    say(alice, "I have chest pain since this morning")
    card = alice.locator(".emergency")
    expect(card).to_contain_text("911")
    card.get_by_role("button", name="Back to my message").click()
    expect(alice.get_by_label("Your message")).to_have_value("I have chest pain since this morning")
    assert said(bob, "chest pain").count() == 0
    alice.get_by_role("button", name="Send", exact=True).click()
    card.get_by_role("button", name="Send anyway, as urgent").click()
    expect(said(bob, "chest pain")).to_contain_text("Urgent")
    assert alice.locator(".composer textarea").get_attribute("autocorrect") == "off"
    say(alice, "No chest pain any more")
    hears(bob, "No chest pain any more")


def test_a_draft_survives_signing_out(cast: Cast) -> None:
    trent = cast("trent")
    path = ask(trent, "I will write more later")
    trent.get_by_label("Your message").fill("As I was about to sa")
    expect(trent.get_by_text("Draft saved, locked")).to_be_visible()
    trent.get_by_role("button", name="Sign out").first.click()
    trent.wait_for_url(re.compile(r"/logged-out$"))
    sign_in(trent, "trent", path)
    expect(trent.get_by_label("Your message")).to_have_value("As I was about to sa")


def test_the_workbench_goes_by_keys(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    for words in ("One question", "Another one"):
        ask(alice, words)
    bob.goto("/inbox")
    expect(bob.locator(".queue__row").nth(1)).to_be_visible()
    bob.keyboard.press("j")
    expect(bob.locator(".queue__row").first).to_have_attribute("aria-current", "true")
    bob.keyboard.press("j")
    expect(bob.locator(".queue__row").nth(1)).to_have_attribute("aria-current", "true")
    bob.keyboard.press("k")
    expect(bob.locator(".queue__row").first).to_have_attribute("aria-current", "true")
    expect(bob.locator(".allergies").first).to_be_visible()
    expect(bob.locator(".composer textarea")).to_be_visible()
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
            expect(shown.get_by_text(words).first).to_be_visible()
        expect(hidden.get_by_text("Nobody reads this before")).to_be_hidden()
        alice.get_by_label("Your message").focus()


def test_a_server_that_shows_less_than_before_is_not_believed(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "Remember this")
    say(alice, "and this")
    sent(alice, "and this")
    thread = address.rsplit("/", 1)[1]

    def shorter(route: Route) -> None:
        answer = route.fetch()
        page = answer.json()
        route.fulfill(response=answer, json={**page, "items": page["items"][:-1]})

    alice.route(re.compile(f"/api/threads/{thread}/records"), shorter)
    alice.reload()
    expect(alice.locator(".banner--urgent")).to_contain_text("shows less than this browser saw")
    expect(alice.locator(".composer")).to_contain_text("You cannot write here")
    expect(alice.get_by_role("link", name="Call +1 555 0100")).to_be_visible()


def test_a_record_that_was_changed_on_the_way_is_not_shown(cast: Cast) -> None:
    alice = cast("alice")
    address = ask(alice, "Take one a day")
    say(alice, "or is it two?")
    sent(alice, "or is it two")
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
    expect(alice.locator(".banner--urgent")).to_contain_text("ciphertext hash")
    expect(said(alice, "Take one a day")).to_be_visible()
    expect(said(alice, "or is it two")).to_have_count(0)


def test_what_staff_print_names_the_patient_twice_over_and_is_on_record(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Please print this")
    sheet = "document.querySelector('body > .print-only').textContent"
    bob.add_init_script(f"window.print = () => {{ document.body.dataset.paper = {sheet} }}")
    opens(bob, address)
    expect(bob.locator(".patient__row")).to_contain_text("born Mar 14, 1974")
    with bob.expect_response("**/api/prints") as noted:
        bob.locator(".thread-head .more__button").click()
        bob.get_by_role("button", name="Print this conversation").click()
    assert noted.value.status == 204
    expect(bob.locator("body")).to_have_attribute("data-paper", re.compile("."))
    paper = bob.locator("body").get_attribute("data-paper") or ""
    for words in ("Please print this", "Mar 14, 1974", "MR", "Riverside Pharmacy", "Are your messages really for us?"):
        assert words in paper


def test_the_last_view_stays_when_the_ehr_does_not_answer(cast: Cast) -> None:
    alice, bob = cast("alice"), cast("bob")
    address = ask(alice, "Do you still see my list?")
    opens(bob, address)
    expect(bob.locator(".context")).to_contain_text("Lisinopril 10 mg")
    down = {"type": "about:blank", "code": "ehr-unavailable", "status": 502, "detail": "The EHR does not answer."}
    bob.route("**/api/patients/*/context*", lambda route: route.fulfill(status=502, json=down))
    bob.reload()
    expect(bob.locator(".context--down")).to_contain_text("Lisinopril 10 mg")
    expect(bob.locator(".allergies").first).to_contain_text("penicillin")
    hears(bob, "Do you still see my list?")
