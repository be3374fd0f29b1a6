"""Alice holds her pharmacy's keys against its poster with her phone; what she finds counts on all her devices."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from complaints import Complaints
from demo_world import Demo, confirm_with, get_code, give_password, team
from paper import TEAM, at_least_two, false_poster, holds, other_way, poster
from playwright.sync_api import Browser, Locator, Page, expect
from stage import Stage, answer_with, on_stage
from talking import THREAD, ask, said, say, sent

pytestmark = pytest.mark.browser
# Chromium says on the console that an answer was a refusal: a login is too old, an unsent conversation is not there.
ON_PURPOSE = (r"status of (401|403|404|409)",)


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal on which Bob has founded the pharmacists."""
    heard = Complaints()
    for pattern in ON_PURPOSE:
        heard.allow(pattern)
    with on_stage(demo, browser, heard) as made:
        made.founded()
        yield made
    assert heard.unexpected() == []


def scanned(page: Page, address: str) -> Page:
    """The camera opens the address of a picture; it is out of the address bar before anything is asked."""
    page.goto("about:blank")
    page.goto(address)
    return page


def outcome(page: Page, kind: str, words: str) -> None:
    expect(page.locator("[data-outcome]")).to_have_attribute("data-outcome", kind)
    expect(page.locator("[data-outcome]")).to_contain_text(words)
    assert "#" not in page.url


def the_same(page: Page, address: str) -> None:
    """The picture fits, and the person says that it hangs in the pharmacy; only then it is kept."""
    outcome(scanned(page, address), "fits", "proves nothing")
    page.get_by_role("button", name="Yes, in the pharmacy").click()
    outcome(page, "same", "It is the same")


def not_the_same(page: Page, address: str, kind: str = "other") -> None:
    """The picture differs, and the person says that it is the pharmacy's; only then it counts."""
    outcome(scanned(page, address), "differs", "does not fit")
    page.get_by_role("button", name="It is from the pharmacy").click()
    outcome(page, kind, "It is NOT the same")


def pharmacists(page: Page) -> Any:
    return page.locator(f"[data-team={TEAM}]")


def test_the_same_picture_is_kept_and_seen_on_her_second_browser(stage: Stage) -> None:
    code = stage.with_code("alice")
    alice = stage.with_keys("alice", "/devices")
    thread = ask(alice, "May I take both at once?")
    alice.locator(".readers summary").click()
    expect(alice.locator(".readers")).to_contain_text("You have not compared the keys")
    the_same(alice, poster(stage).address)
    expect(pharmacists(alice)).to_have_attribute("data-compared", "same")
    expect(pharmacists(alice)).to_contain_text("Compared by picture")
    alice.goto(thread)
    alice.locator(".readers summary").click()
    expect(alice.locator(".readers")).to_contain_text("the same")
    laptop = stage.page("alice's laptop")
    laptop.goto("/login?next=/compare")
    give_password(laptop, "alice")
    laptop.locator("#secret-code").fill(code)
    laptop.locator("form:has(#secret-code) button[type=submit]").first.click()
    expect(pharmacists(laptop)).to_have_attribute("data-compared", "same")
    expect(pharmacists(laptop)).to_contain_text("Compared by picture")


def test_who_is_not_signed_in_comes_back_with_the_picture(stage: Stage) -> None:
    dave = scanned(stage.page("dave"), poster(stage).address)
    give_password(dave, "dave")
    outcome(dave, "fits", "the pharmacists of Riverside Pharmacy")
    assert dave.evaluate("Object.keys(sessionStorage).filter((name) => name.includes('compare'))") == []


def test_another_picture_holds_what_is_sent_until_the_number_is_the_same(stage: Stage) -> None:
    judy = stage.with_keys("judy", "/devices")
    path = ask(judy, "Is this one with food?")
    not_the_same(judy, false_poster(stage).address)
    expect(judy.locator("[data-outcome]")).to_contain_text("Nothing is sent")
    expect(judy.locator("[data-outcome]").get_by_role("link", name=re.compile("Call"))).to_be_visible()
    judy.goto(path)
    say(judy, "And this one?")
    expect(judy.get_by_text("were not the same").first).to_be_visible()
    expect(said(judy, "And this one?")).not_to_contain_text(re.compile("Sent|Delivered|Read by"))
    # A new question waits as well.
    judy.goto("/new?topic=other&for=me")
    say(judy, "A third one")
    judy.wait_for_url(THREAD)
    expect(judy.get_by_text("were not the same").first).to_be_visible()
    # She calls, and the twelve groups are read to her.
    judy.get_by_role("link", name="Compare the keys").first.click()
    expect(pharmacists(judy)).to_have_attribute("data-compared", "other")
    assert pharmacists(judy).locator(".safety").inner_text().split() == poster(stage).digits.split()
    pharmacists(judy).get_by_role("button", name="Same by phone").click()
    expect(pharmacists(judy)).to_have_attribute("data-compared", "same")
    expect(pharmacists(judy)).to_contain_text("by phone")
    judy.goto(path)
    sent(judy, "And this one?")


def test_a_held_team_is_let_go_by_a_picture_only_once_she_says_where_it_was(stage: Stage) -> None:
    nina = stage.with_keys("nina", "/devices")
    not_the_same(nina, false_poster(stage).address)
    outcome(scanned(nina, poster(stage).address), "fits", "proves nothing")
    expect(pharmacists(nina)).to_have_attribute("data-compared", "other")
    nina.get_by_role("button", name="Yes, in the pharmacy").click()
    outcome(nina, "same", "It is the same")
    expect(pharmacists(nina)).to_have_attribute("data-compared", "same")


def test_a_new_member_of_the_team_holds_nothing_and_an_old_picture_still_says_so(stage: Stage) -> None:
    walt = stage.with_keys("walt", "/devices")
    path = ask(walt, "Before Erin came")
    old = poster(stage)
    erin = stage.with_keys("erin", "/recovery")
    get_code(erin)
    erin.goto("/team")
    team(erin).get_by_role("button", name="Ask to join").click()
    expect(team(erin)).to_contain_text("You asked to join")
    bob = stage.with_keys("bob", "/team")
    before = int(team(bob).get_attribute("data-gen") or "0")
    team(bob).get_by_role("button", name="Let in Erin Walsh").click()
    confirm_with(bob, stage.with_code("bob"))
    expect(team(bob)).to_have_attribute("data-gen", str(before + 1))
    walt.goto(path)
    say(walt, "After Erin came")
    sent(walt, "After Erin came")
    outcome(scanned(walt, old.address), "fits", "renewed once")


def test_keys_that_do_not_verify_hold_a_question_and_the_picture_says_so(stage: Stage) -> None:
    trent = stage.with_keys("trent", "/devices")
    at_least_two(stage)
    the_same(trent, poster(stage).address)
    picture = poster(stage)

    def cut(answer: dict[str, Any]) -> dict[str, Any]:
        items = [one | ({"records": one["records"][:-1]} if "records" in one else {}) for one in answer["items"]]
        return answer | {"items": items}

    # The server shows the team as it was before the newest member came; the browser has seen more.
    answer_with(trent, "**/api/directory/lookup", cut)
    trent.goto("/new?topic=other&for=me")
    say(trent, "Does this reach you?")
    trent.wait_for_url(THREAD)
    expect(trent.get_by_text("does not pass the check").first).to_be_visible()
    outcome(scanned(trent, picture.address), "broken", "do not pass the check")
    trent.unroute_all(behavior="ignoreErrors")
    trent.goto("/messages")
    trent.get_by_text("Does this reach you?").first.wait_for()


def test_after_a_server_came_back_from_a_copy_an_older_picture_settles_nothing_and_a_new_one_does(stage: Stage) -> None:
    pat = stage.with_keys("pat", "/devices")
    before = other_way(stage, pat)
    pat.goto("/compare")
    expect(pharmacists(pat)).to_contain_text("The number alone cannot settle that")
    expect(pharmacists(pat).get_by_role("button")).to_have_count(0)
    outcome(scanned(pat, before.address), "old", "too old")
    expect(pharmacists(pat)).to_contain_text("Nothing is sent")
    the_same(pat, poster(stage).address)
    ask(pat, "Does this reach you again?")


def test_a_patient_who_never_saw_it_is_told_when_the_server_shows_less_than_the_poster(stage: Stage) -> None:
    alicia = stage.with_keys("alicia", "/devices")
    not_the_same(alicia, poster(stage, later=1).address, "behind")
    expect(pharmacists(alicia)).to_have_attribute("data-compared", "other")
    # She compares again, on the same page.
    alicia.get_by_role("button", name="Compare again").click()
    expect(alicia.get_by_role("heading", name="Or compare the numbers")).to_be_focused()
    pharmacists(alicia).get_by_role("button", name="Same on the paper").click()
    expect(pharmacists(alicia)).to_have_attribute("data-compared", "same")
    expect(alicia.locator("[data-outcome]")).to_have_count(0)


def test_a_link_that_somebody_made_holds_nothing_by_itself(stage: Stage) -> None:
    peggy = stage.with_keys("peggy", "/devices")
    path = ask(peggy, "Before the link came")
    # She reads the question and goes on without an answer.
    outcome(scanned(peggy, false_poster(stage).address), "differs", "it proves nothing")
    expect(pharmacists(peggy)).not_to_have_attribute("data-compared", "other")
    peggy.goto(path)
    say(peggy, "After I looked at it")
    sent(peggy, "After I looked at it")
    # She says that it came in an e-mail.
    outcome(scanned(peggy, poster(stage, later=1).address), "differs", "it proves nothing")
    peggy.get_by_role("button", name="From somewhere else").click()
    outcome(peggy, "aside", "Nothing has changed")
    expect(pharmacists(peggy)).not_to_have_attribute("data-compared", "other")
    peggy.goto(path)
    say(peggy, "After I put it aside")
    sent(peggy, "After I put it aside")


def test_a_picture_of_another_pharmacy_or_of_something_else_changes_nothing(stage: Stage) -> None:
    peggy = stage.with_keys("peggy", "/devices")
    for address in (poster(stage).address, false_poster(stage).address):
        outcome(scanned(peggy, address.replace("riverside", "elsewhere")), "elsewhere", "another pharmacy")
    outcome(scanned(peggy, "/compare#c=nothing"), "unreadable", "not a picture to compare")
    expect(pharmacists(peggy)).to_have_attribute("data-compared", "never")


def test_bob_prints_the_poster_from_the_keys_that_his_browser_has_verified(stage: Stage) -> None:
    bob = stage.with_keys("bob", "/team")
    bob.evaluate("void (window.print = () => { window.printed = document.querySelector('.print-only').textContent; })")
    shown = team(bob).locator("[data-poster-of=pharmacists]")
    shown.locator("summary").click()
    assert shown.locator(".safety").inner_text().split() == poster(stage).digits.split()
    shown.get_by_role("button", name="Print the poster").click()
    bob.wait_for_function("window.printed !== undefined")
    paper = bob.evaluate("window.printed")
    assert "Are your messages really for us?" in paper
    assert "¿De verdad nos llegan a nosotros sus mensajes?" in paper
    assert all(group in paper for group in poster(stage).digits.split())


def printing(page: Page, thread: str) -> Locator:
    """The paper of a conversation as the print dialog gets it; it stays, as no dialog says that it is done."""
    page.add_init_script("window.print = () => { document.body.dataset.printed = 'yes' }")
    page.goto(thread)
    page.locator(".thread-head .more__button").click()
    page.get_by_role("button", name="Print this conversation").click()
    page.locator("body[data-printed]").wait_for()
    return page.locator("body > .print-only")


def test_what_bob_prints_for_her_carries_the_picture_and_her_phone_reads_it(stage: Stage) -> None:
    pat = stage.with_keys("pat", "/devices")
    thread = ask(pat, "Please give it to me on paper")
    bob = stage.with_keys("bob", "/team")
    loaded: list[str] = []
    bob.on("request", lambda request: loaded.append(request.url))
    bob.goto(thread)
    said(bob, "Please give it to me on paper").wait_for()
    assert not any("worker-drawing" in url for url in loaded)
    receipt = printing(bob, thread).locator(f"[data-receipt={TEAM}]")
    assert receipt.locator(".safety").text_content() == poster(stage).digits.replace(" ", "")
    # Bob reads English; she may not.
    expect(receipt).to_contain_text("Sign in and open")
    expect(receipt).to_contain_text("Inicie sesión y abra")
    address = stage.demo.url + poster(stage).address
    assert holds(receipt.locator(".qr path").get_attribute("d") or "", address)
    the_same(pat, address)


def test_a_picture_that_cannot_be_drawn_holds_no_paper(stage: Stage) -> None:
    pat = stage.with_keys("pat", "/devices")
    thread = ask(pat, "Once more on paper, please")
    bob = stage.with_keys("bob", "/team")
    bob.route("**/static/worker-drawing-*", lambda route: route.fulfill(status=404))
    receipt = printing(bob, thread).locator(f"[data-receipt={TEAM}]")
    assert receipt.locator(".safety").text_content() == poster(stage).digits.replace(" ", "")
    assert receipt.locator(".qr").count() == 0
