"""What patients and carers do every day, in a real Chromium: their list, writing for somebody, files, a bad line."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from checks import NARROW, axe
from demo_world import Demo
from patience import until
from playwright.sync_api import Browser, Locator, Page, Route, expect
from stage import Stage, founded_stage
from talking import THREAD, ask, hears, said, say, send_when_up, sent

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stage(demo: Demo, browser: Browser) -> Iterator[Stage]:
    """A portal and its people. Bob has founded the pharmacists."""
    with founded_stage(demo, browser, r"status of (401|403|404|409|429|503)", "net::ERR_FAILED") as made:
        yield made


def row(page: Page, words: str) -> Locator:
    """The line of a list with these words."""
    return page.locator(".queue__row").filter(has_text=words)


def test_a_patients_list_says_whose_turn_it_is(stage: Stage) -> None:
    walt = stage.with_keys("walt", "/home")
    path = ask(walt, "May I drink coffee with it?")
    walt.goto("/messages")
    expect(row(walt, "May I drink coffee")).to_contain_text("Waiting for the pharmacy")
    bob = stage.with_keys("bob", path)
    hears(bob, "May I drink coffee")
    expect(row(bob, "May I drink coffee")).to_contain_text("Needs an answer")
    say(bob, "One cup does no harm.")
    expect(row(walt, "One cup does no harm.")).to_contain_text("Answered")
    walt.goto("/home")
    expect(walt.locator(".tiles")).to_contain_text("1 message waits for you")
    walt.goto(path)
    expect(said(bob, "One cup does no harm.")).to_contain_text("Read by Walt Brenner")
    walt.goto("/home")
    expect(walt.locator(".tiles")).not_to_contain_text("waits for you")
    walt.goto("/messages")
    expect(row(walt, "One cup does no harm.")).to_contain_text("Answered")
    assert walt.get_by_text("Needs an answer").count() == 0
    assert axe(walt) == []


def test_on_a_telephone_the_box_is_small_until_somebody_writes(stage: Stage) -> None:
    path = ask(stage.with_keys("alice", "/home"), "Is there room to read?")
    page = stage.page("alice")
    page.set_viewport_size(NARROW)
    page.goto(path)
    hears(page, "Is there room to read?")
    send = page.locator(".composer button[type=submit]")
    expect(send).to_be_hidden()
    # Who reads is said all the same.
    expect(page.locator(".readers")).to_contain_text("the pharmacists of Riverside Pharmacy")
    small = page.locator(".composer").bounding_box()
    assert small is not None
    assert small["height"] <= NARROW["height"] / 4
    page.locator(".composer textarea").click()
    expect(send).to_be_visible()
    assert axe(page) == []
    # Whoever taps on the conversation reads again, but not with words begun.
    page.locator(".messages").click(position={"x": 5, "y": 5})
    expect(send).to_be_hidden()
    page.locator(".composer textarea").fill("Ample room")
    page.locator(".messages").click(position={"x": 5, "y": 5})
    expect(send).to_be_visible()
    send.click()
    hears(page, "Ample room")


def test_judy_writes_for_rosa_and_everybody_sees_for_whom(stage: Stage) -> None:
    judy, bob = sent_nothing(stage), stage.with_keys("bob", "/inbox")
    judy.goto("/new")
    expect(judy.get_by_role("heading", name="Who is it for?")).to_be_visible()
    assert axe(judy) == []
    judy.get_by_text("Rosa Delgado", exact=True).click()
    expect(judy.locator(".for-whom")).to_have_text("For Rosa Delgado")
    judy.get_by_text("My medicine", exact=True).click()
    # What Rosa takes, not what Judy takes.
    judy.get_by_role("button", name=re.compile("Warfarin")).click()
    expect(judy.locator(".for-whom")).to_have_text("For Rosa Delgado")
    say(judy, "She forgot one tablet yesterday.")
    judy.wait_for_url(THREAD)
    hears(judy, "She forgot one tablet")
    expect(judy.locator(".thread-head .for-whom")).to_have_text("For Rosa Delgado")
    assert axe(judy) == []

    row(bob, "She forgot one tablet").click()
    message = said(bob, "She forgot one tablet")
    expect(message).to_contain_text("Judy Delgado")
    expect(message).to_contain_text("writes for Rosa Delgado")
    expect(bob.locator(".patient__name")).to_have_text(re.compile("Rosa"))
    say(bob, "Take the next one as usual.")
    hears(judy, "Take the next one as usual.")


def sent_nothing(stage: Stage) -> Page:
    """Judy's tab, in which she has sent nothing yet for anybody."""
    judy = stage.with_keys("judy", "/home")
    judy.evaluate("sessionStorage.clear()")
    return judy


def test_judys_own_conversations_do_not_mix_with_rosas(stage: Stage) -> None:
    judy = sent_nothing(stage)
    judy.goto("/new?topic=other&for=me")
    judy.locator(".composer textarea").fill("Begun for me")
    expect(judy.get_by_text("Draft saved, locked")).to_be_visible()
    judy.goto("/new?topic=other")
    judy.get_by_text("Rosa Delgado", exact=True).click()
    expect(judy.locator(".for-whom")).to_have_text("For Rosa Delgado")
    # What was begun for one is no draft for the other.
    say(judy, "Her ankles are swollen")
    judy.wait_for_url(THREAD)
    judy.goto("/new?topic=other&for=me")
    expect(judy.locator(".composer textarea")).to_have_value("Begun for me")
    say(judy, "A question of my own")
    # The last thing went out for Rosa: nothing goes out for another person unasked.
    asked_again = judy.get_by_role("dialog")
    expect(asked_again.get_by_role("heading", name="Send this for yourself?")).to_be_visible()
    expect(asked_again).to_contain_text("The last thing you sent here was for Rosa Delgado.")
    assert axe(judy) == []
    judy.keyboard.press("Escape")
    expect(asked_again).to_have_count(0)
    assert judy.url.partition("?")[0].endswith("/new")
    expect(judy.locator(".composer textarea")).to_have_value("A question of my own")
    judy.locator(".composer button[type=submit]").click()
    judy.get_by_role("button", name="Yes, for me").click()
    judy.wait_for_url(THREAD)
    # The next one for oneself is not asked about.
    say(judy, "And one more thing")
    sent(judy, "And one more thing")
    expect(judy.locator(".thread-head .for-whom")).to_have_text("For me")
    judy.goto("/messages")
    sections = judy.locator("main section")
    expect(sections.filter(has_text="For me").locator(".queue__row")).to_contain_text(["A question of my own"])
    rosas = sections.filter(has_text="For Rosa Delgado")
    expect(rosas.locator(".queue__row").filter(has_text="Her ankles are swollen")).to_be_visible()
    assert rosas.get_by_text("A question of my own").count() == 0
    assert axe(judy) == []


def test_rosa_reads_what_is_written_for_her_once_she_has_keys(stage: Stage) -> None:
    judy = sent_nothing(stage)
    stage.with_keys("bob", "/inbox")
    judy.goto("/new?topic=other")
    judy.get_by_text("Rosa Delgado", exact=True).click()
    say(judy, "She sleeps badly")
    judy.wait_for_url(THREAD)
    rosa = stage.with_keys("rosa", "/messages")
    # What her daughter began alone opens to her too: Bob's browser gives her the keys of it.
    expect(row(rosa, "She sleeps badly")).to_be_visible()
    expect(judy.locator(".readers")).to_contain_text("Rosa Delgado")
    judy.goto("/new?topic=other")
    judy.get_by_text("Rosa Delgado", exact=True).click()
    say(judy, "We come on Friday")
    judy.wait_for_url(THREAD)
    sent(judy, "We come on Friday")
    expect(judy.locator(".readers")).to_contain_text("Rosa Delgado")
    rosa.goto("/thread/" + judy.url.rsplit("/", 1)[1])
    hears(rosa, "We come on Friday")
    expect(said(rosa, "We come on Friday")).to_contain_text("escribe por usted")
    say(rosa, "Yo también voy")
    hears(judy, "Yo también voy")
    expect(said(judy, "Yo también voy")).to_contain_text("Rosa Delgado")
    for name in ("dave", "carol"):
        other = stage.with_keys(name, "/account")
        other.goto("/thread/" + judy.url.rsplit("/", 1)[1])
        expect(other.get_by_text("We cannot find this conversation")).to_be_visible()


PART = 1024 * 1024


def plan(size: int, name: str = "plan.txt") -> dict[str, Any]:
    """A file that is no picture."""
    return {"name": name, "mimeType": "text/plain", "buffer": bytes(index % 251 for index in range(size))}


def test_a_file_goes_on_where_the_line_broke_and_where_the_page_was_left(stage: Stage) -> None:
    alice = stage.with_keys("alice", "/home")
    path = ask(alice, "Here comes my plan")
    file = plan(2 * PART + 5000)
    starts: list[int] = []

    def parts(route: Route) -> None:
        starts.append(int(route.request.url.rpartition("=")[2]))
        # The line breaks once after the first part, and for good after the second.
        if starts == [0, PART] or starts[-1] > PART:
            route.abort()
        else:
            route.continue_()

    alice.route("**/api/attachments/*?start=*", parts)
    alice.set_input_files("input[type=file]", file)
    expect(alice.locator(".file-row")).to_contain_text("plan.txt")
    until(alice, lambda: 2 * PART in starts, "the third part is on its way")
    assert starts[:4] == [0, PART, PART, 2 * PART]
    shown = alice.locator(".file-row progress")
    expect(shown).to_have_attribute("aria-label", re.compile(r"plan.txt: [6-9]\d % sent"))
    expect(alice.get_by_text("Your file is still on its way up")).to_be_visible()
    assert axe(alice) == []

    # The page is left while the line is down.
    alice.goto("/account")
    alice.unroute("**/api/attachments/*?start=*")
    starts.clear()
    alice.on("request", lambda one: starts.append(int(one.url.rpartition("=")[2])) if "?start=" in one.url else None)
    alice.goto(path)
    expect(alice.locator(".file-row")).to_contain_text("plan.txt")
    send_when_up(alice)
    # What had arrived was not sent again.
    assert starts == [2 * PART]
    bob = stage.with_keys("bob", path)
    with bob.expect_download() as coming:
        bob.get_by_role("button", name=re.compile("plan.txt")).click()
    assert coming.value.path().read_bytes() == file["buffer"]
    # Once it is sent nothing of it is kept for the next message.
    alice.reload()
    hears(alice, "Here comes my plan")
    expect(alice.get_by_role("button", name=re.compile("plan.txt"))).to_be_visible()
    assert alice.locator(".file-row").count() == 0


def test_a_file_that_was_left_too_early_is_not_lost_in_silence(stage: Stage) -> None:
    alice = stage.with_keys("alice", "/home")
    path = ask(alice, "One more plan")
    # The worker has so much to do that the page is loaded anew before the file is encrypted.
    alice.evaluate(
        """() => {
          const ask = Worker.prototype.postMessage;
          Worker.prototype.postMessage = function (one, ...more) {
            if (one.name !== "fileSeal") ask.call(this, one, ...more);
          };
        }"""
    )
    alice.set_input_files("input[type=file]", plan(100, "early.txt"))
    expect(alice.locator(".file-row")).to_contain_text("early.txt")
    kept = """async () => {
      const account = (await (await fetch("/api/session")).json()).account.id;
      const asked = indexedDB.open(`portal-${account}`);
      const database = await new Promise((resolve) => { asked.onsuccess = () => resolve(asked.result); });
      const keys = database.transaction("drafts").objectStore("drafts").getAllKeys();
      const isFile = (key) => key.startsWith("file:");
      return new Promise((resolve) => {
        keys.onsuccess = () => { database.close(); resolve(keys.result.filter(isFile).length); };
      });
    }"""
    until(alice, lambda: alice.evaluate(kept), "the file is kept in the browser")
    alice.goto(path)
    expect(alice.locator(".file-row")).to_contain_text("early.txt was not sent")
    expect(alice.get_by_text("Remove it, or add it again.")).to_be_visible()
    alice.get_by_role("button", name="Remove early.txt").click()
    expect(alice.locator(".file-row")).to_have_count(0)
    say(alice, "Then without it")
    hears(alice, "Then without it")


def test_a_file_is_dropped_pasted_and_not_wanted_after_all(stage: Stage) -> None:
    alice = stage.with_keys("alice", "/home")
    alice.goto("/new?topic=other")
    alice.locator(".composer").wait_for()
    give = """(kind) => {
      const data = new DataTransfer();
      data.items.add(new File([`what was ${kind}`], `${kind}.txt`, { type: "text/plain" }));
      const options = { bubbles: true, cancelable: true };
      const act = kind === "dropped" ? new DragEvent("drop", { ...options, dataTransfer: data })
        : new ClipboardEvent("paste", { ...options, clipboardData: data });
      document.querySelector(".composer textarea").dispatchEvent(act);
    }"""
    for kind in ("dropped", "pasted"):
        alice.evaluate(give, kind)
        expect(alice.locator(".file-row").filter(has_text=f"{kind}.txt")).to_be_visible()
    alice.get_by_role("button", name="Remove pasted.txt").click()
    expect(alice.locator(".file-row").filter(has_text="pasted.txt")).to_have_count(0)
    alice.locator(".composer textarea").fill("One of the two files")
    expect(alice.get_by_text("Draft saved, locked")).to_be_visible()
    # A new question keeps its file too when the page is loaded anew.
    alice.reload()
    expect(alice.locator(".file-row")).to_have_count(1)
    expect(alice.locator(".composer textarea")).to_have_value("One of the two files")
    send_when_up(alice)
    alice.wait_for_url(THREAD)
    sent(alice, "One of the two files")
    bob = stage.with_keys("bob", "/thread/" + alice.url.rsplit("/", 1)[1])
    hears(bob, "One of the two files")
    with bob.expect_download() as coming:
        bob.get_by_role("button", name=re.compile("dropped.txt")).click()
    assert coming.value.path().read_bytes() == b"what was dropped"


def test_a_telephone_offers_its_camera(stage: Stage) -> None:
    stage.page("trent", viewport=NARROW, has_touch=True, is_mobile=True)
    page = stage.with_keys("trent", "/new?topic=other")
    page.locator(".composer textarea").wait_for()
    expect(page.get_by_role("button", name="Take a photo")).to_be_visible()
    camera = page.locator("input[capture=environment]")
    assert camera.get_attribute("accept") == "image/*"
    drawn = page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(40, 30);
          canvas.getContext("2d").fillRect(5, 5, 20, 20);
          const bytes = await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer();
          return btoa(String.fromCharCode(...new Uint8Array(bytes)));
        }"""
    )
    photo = base64.b64decode(drawn)
    camera.set_input_files({"name": "IMG_1.png", "mimeType": "image/png", "buffer": photo})
    expect(page.locator(".file-row")).to_contain_text("IMG_1")
    send_when_up(page)
    page.wait_for_url(THREAD)
    expect(page.locator("img.bubble__image")).to_be_visible()


@pytest.mark.parametrize("status", [503, 429])
def test_without_a_stream_messages_come_all_the_same(stage: Stage, status: int) -> None:
    alice = stage.with_keys("alice", "/home")
    busy = {"type": "about:blank", "title": "busy", "status": status, "code": "streams-full", "detail": ""}
    alice.route("**/events*", lambda route: route.fulfill(status=status, json=busy, headers={"Retry-After": "30"}))
    words = f"Is the line full at {status}?"
    path = ask(alice, words)
    bob = stage.with_keys("bob", path)
    hears(bob, words)
    say(bob, f"Never mind {status}, I am here")
    hears(alice, f"Never mind {status}, I am here")
    # Nobody is told of a lost line: the news come, a little later.
    assert alice.get_by_text("Connection lost").count() == 0
    alice.unroute_all(behavior="ignoreErrors")


def test_what_is_written_while_another_tab_is_about_to_stop_sending_goes_all_the_same(stage: Stage) -> None:
    trent = stage.with_keys("trent", "/account")
    ask(trent, "Are my tablets halved?")
    # As the tab that sends does, and it has just looked for the last time.
    trent.evaluate(
        """async () => {
            const { account } = await (await fetch("/api/session")).json();
            await new Promise((taken) => navigator.locks.request(`portal-outbox-${account.id}`, () => {
                taken();
                return new Promise((done) => { window.stopSending = done; });
            }));
        }"""
    )
    say(trent, "Or in quarters?")
    hears(trent, "Or in quarters?")
    expect(said(trent, "Or in quarters?")).not_to_contain_text("Sent")
    trent.evaluate("stopSending()")
    sent(trent, "Or in quarters?")


def status_of(page: Page, path: str) -> int:
    """What the server answers this person's browser."""
    found: int = page.evaluate("(path) => fetch(path).then((answer) => answer.status)", path)
    return found


def choose_scope(rosa: Page, stage: Stage, scope: str) -> None:
    """Rosa changes what her helper Nina may do, in Spanish."""
    stage.fresh("rosa", "/carers")
    line = rosa.locator(".item").filter(has_text="Nina Castillo")
    line.get_by_text("Cambiar lo que puede hacer").click()
    line.get_by_label(scope, exact=True).check()
    line.get_by_role("button", name="Guardar").click()
    rosa.get_by_text("Se hizo el cambio.").wait_for()


def test_a_helper_for_refills_reads_no_message_widened_reads_and_writes_removed_reads_nothing_newer(
    stage: Stage,
) -> None:
    rosa, bob, nina = (stage.with_keys(who, "/account") for who in ("rosa", "bob", "nina"))
    rosa.goto("/new?topic=other&for=me")
    say(rosa, "¿Puedo comer pomelo?")
    rosa.wait_for_url(THREAD)
    path = "/thread/" + rosa.url.rsplit("/", 1)[1]
    bob.goto(path)
    hears(bob, "¿Puedo comer pomelo?")
    say(bob, "Better not, Rosa.")
    hears(rosa, "Better not, Rosa.")

    stage.fresh("rosa", "/carers/invite")
    rosa.get_by_label("Cómo llama usted a esta persona").fill("Nina, mi vecina")
    rosa.get_by_label("Alguien que me cuida").check()
    rosa.get_by_label("Pedidos y renovaciones", exact=True).check()
    rosa.get_by_role("button", name="Invitar").click()
    code = rosa.locator(".code-line").inner_text()
    nina.goto("/carers/accept")
    nina.locator("#code").fill(code.lower())
    nina.get_by_role("button", name="Look at it first").click()
    expect(nina.get_by_text("Messages stay closed to you.")).to_be_visible()
    nina.get_by_role("button", name="Yes, I will help").click()
    nina.locator(".item").filter(has_text="Rosa Delgado").get_by_role("link", name="Open").click()
    expect(nina.get_by_text("Messages are not open to you.")).to_be_visible()
    expect(nina.get_by_text(re.compile("Warfarin")).first).to_be_visible()
    assert nina.get_by_text("latex", exact=False).count() == 0
    assert status_of(nina, f"/api{path.replace('thread', 'threads')}") == 404
    nina.goto("/messages")
    expect(nina.locator("main h1")).to_be_visible()
    assert row(nina, "pomelo").count() == 0

    choose_scope(rosa, stage, "Pedidos, renovaciones y mensajes")
    # The step alone opens no conversation: Rosa lets her in, from here on.
    assert status_of(nina, f"/api{path.replace('thread', 'threads')}") == 404
    rosa.goto(path)
    hears(rosa, "Better not, Rosa.")
    rosa.locator(".thread-head .more__button").click()
    rosa.get_by_role("button", name="Dejar entrar a Nina").click()
    assert axe(rosa) == []
    rosa.get_by_role("button", name="Desde aquí").click()
    expect(rosa.locator(".readers")).to_contain_text("Nina Castillo (escribe por usted)")
    say(bob, "Welcome, Nina.")
    nina.goto(path)
    hears(nina, "Welcome, Nina.")
    assert nina.get_by_text("Better not, Rosa.").count() == 0
    expect(nina.locator(".thread-head .for-whom")).to_have_text("For Rosa Delgado")
    say(nina, "I will look after her breakfast.")
    hears(bob, "I will look after her breakfast.")
    expect(said(bob, "I will look after her breakfast.")).to_contain_text("Nina Castillo")
    hears(rosa, "I will look after her breakfast.")

    rosa.goto("/carers")
    line = rosa.locator(".item").filter(has_text="Nina Castillo")
    line.locator("summary", has_text="Terminar").click()
    line.get_by_role("button", name="Terminar ahora").click()
    rosa.get_by_text("Ha terminado.").wait_for()
    rosa.goto(path)
    hears(rosa, "I will look after her breakfast.")
    say(rosa, "Ahora estamos solos, Bob.")
    hears(bob, "Ahora estamos solos, Bob.")
    expect(rosa.locator(".readers")).not_to_contain_text("Nina Castillo")
    nina.goto(path)
    expect(nina.get_by_text("We cannot find this conversation")).to_be_visible()
    assert nina.get_by_text("Ahora estamos solos").count() == 0
    assert status_of(nina, f"/api{path.replace('thread', 'threads')}/records?after=0") == 404
    # All of it stands under "who looked", with whom she acted for.
    rosa.goto("/record?who=others")
    expect(rosa.locator(".log__row").filter(has_text="Nina Castillo").first).to_contain_text("Cuidador")


def kept(page: Page) -> list[str]:
    """What this browser keeps for pages that cannot be loaded: the paths in all its caches."""
    script = """async () => {
        const found = [];
        for (const name of await caches.keys())
            for (const request of await (await caches.open(name)).keys()) found.push(new URL(request.url).pathname);
        return found;
    }"""
    found: list[str] = page.evaluate(script)
    return found


def test_without_a_line_a_page_of_help_opens_and_nothing_else_is_kept_or_answered(stage: Stage) -> None:
    page = stage.with_keys("dave", "/devices")
    page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    assert kept(page) == ["/offline-help"]
    # Online everything comes from the server: pages with keys, pages of the server, and its refusals.
    page.goto("/medicines")
    expect(page.locator("h1")).to_have_text("My medicines")
    expect(page.get_by_text("You are offline")).to_have_count(0)
    page.goto("/nothing-here")
    expect(page.get_by_text("There is nothing here").first).to_be_visible()
    page.goto("/devices")
    stage.complaints.allow("ERR_INTERNET_DISCONNECTED")
    stage.offline("dave")
    assert page.evaluate("fetch('/api/session').then(() => 'answered', () => 'failed')") == "failed"
    assert page.evaluate("fetch('/offline-help').then(() => 'answered', () => 'failed')") == "failed"
    page.goto("/messages")
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    expect(page.get_by_role("heading", name="No tiene conexión")).to_be_visible()
    expect(page.get_by_role("link", name="+1 555 0100").first).to_be_visible()
    expect(page.get_by_text("How to get back in")).to_be_visible()
    assert page.get_by_text("Dave").count() == 0
    assert page.url.endswith("/messages")
    stage.online("dave")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading", name="Messages")).to_be_visible()
    assert kept(page) == ["/offline-help"]


def test_a_computer_of_many_keeps_no_page_of_help(stage: Stage) -> None:
    page = stage.with_keys("peggy", "/devices")
    page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    # The server has no such page any more: both go with the next page that has keys.
    page.evaluate("caches.delete('portal-help')")
    page.route("**/offline-help", lambda route: route.fulfill(status=404, body=""))
    page.goto("/devices")
    page.wait_for_function("navigator.serviceWorker.getRegistrations().then((all) => all.length === 0)")
    assert kept(page) == []
    page.unroute_all()
    page.context.add_cookies([{"name": "portal_shared", "value": "1", "url": stage.demo.url}])
    page.goto("/devices")
    expect(page.locator("main h1")).to_be_visible()
    assert kept(page) == []
