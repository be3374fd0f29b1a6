"""Makes the pictures of the README from the demo world: `python scripts/pictures.py`; needs the development packages.

A demo portal of its own is started, told its story, looked at from both sides, and ended. Everybody in it is made up.
"""

import base64
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from running import launching, start_portal, stop_portal  # noqa: E402

from portal.demo.people import PASSPHRASE, PASSWORD  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
WIDE = {"width": 1280, "height": 800}
TELEPHONE = {"width": 390, "height": 844}
# Other work may keep the machine busy.
WAIT_MILLISECONDS = 180_000
# A picture larger than this is too heavy for a README.
MOST_BYTES = 150_000
PACK = """async (address) => {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return canvas.toDataURL("image/webp", 0.9);
}"""


def main() -> int:
    """Make all pictures; the number of those that came out too large."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        process, address = start_portal(Path(folder))
        try:
            browser = playwright.chromium.launch(**launching())
            made = [*of_alice(browser, address), *of_bob(browser, address), *of_ivan(browser, address)]
            browser.close()
        finally:
            stop_portal(process)
    for path in made:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")
    return sum(path.stat().st_size > MOST_BYTES for path in made)


def of_alice(browser: Browser, address: str) -> list[Path]:
    """What a patient sees: her first page, who looked, her devices; on a telephone a conversation and keys."""
    page = enter(browser, address, "alice", WIDE)
    page.goto("/home")
    page.locator("main h1").wait_for()
    made = [shot(page, "patient-home")]
    page.set_viewport_size(TELEPHONE)
    page.goto("/messages")
    page.locator(".queue__row").filter(has_text="Metformin").first.click()
    page.locator("article.bubble").last.wait_for()
    made.append(shot(page, "thread-on-a-telephone"))
    page.goto("/compare")
    page.locator("[data-team]").first.wait_for()
    page.get_by_role("heading", name="Or compare the numbers").evaluate("(one) => one.scrollIntoView()")
    made.append(shot(page, "comparing-keys"))
    page.set_viewport_size(WIDE)
    page.goto("/record")
    page.get_by_role("link", name="Others only").click()
    page.wait_for_url("**who=others**")
    page.locator("main h1").wait_for()
    made.append(shot(page, "who-looked"))
    page.goto("/devices")
    page.locator("[data-device]").first.wait_for()
    return [*made, shot(page, "devices-and-recovery")]


def of_bob(browser: Browser, address: str) -> list[Path]:
    """What a pharmacist sees: queue, conversation and medicines beside each other."""
    page = enter(browser, address, "bob", {"width": 1440, "height": 900})
    page.goto("/inbox")
    page.get_by_role("button", name="All", exact=True).click()
    page.locator(".queue__row").filter(has_text="Metformin").first.click()
    page.locator("article.bubble").last.wait_for()
    page.get_by_text("Penicillin").first.wait_for()
    return [shot(page, "workbench")]


def of_ivan(browser: Browser, address: str) -> list[Path]:
    """What the operator sees: what a new pharmacy still lacks before patients are offered it."""
    page = sign_in(browser, address, "ivan", WIDE, "/pharmacies/newtown")
    page.wait_for_url(f"{address}/pharmacies/newtown")
    return [shot(page, "opening-a-pharmacy")]


def enter(browser: Browser, address: str, login: str, size: dict[str, int]) -> Page:
    """Sign in as `login` in a fresh browser, and get the messages back by the demo's passphrase."""
    page = sign_in(browser, address, login, size, "/devices")
    page.locator("#secret-passphrase").fill(PASSPHRASE)
    page.get_by_role("button", name="Get my messages back").click()
    page.locator("[data-device]").first.wait_for()
    return page


def sign_in(browser: Browser, address: str, login: str, size: dict[str, int], path: str) -> Page:
    """Sign in as `login` in a fresh browser; the page at `path` comes next."""
    context = browser.new_context(
        base_url=address, viewport=size, locale="en-US", timezone_id="America/Chicago", reduced_motion="reduce"
    )
    context.set_default_timeout(WAIT_MILLISECONDS)
    page = context.new_page()
    page.goto(f"/login?next={path}")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.locator("form").filter(has=page.locator("#password")).get_by_role("button").click()
    return page


def shot(page: Page, name: str) -> Path:
    """Take a picture of what is on the screen, once everything is drawn; the browser itself makes it small."""
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(1_500)
    taken = base64.b64encode(page.screenshot()).decode()
    blank = page.context.new_page()
    packed: str = blank.evaluate(PACK, f"data:image/png;base64,{taken}")
    blank.close()
    path = PICTURES / f"{name}.webp"
    path.write_bytes(base64.b64decode(packed.partition(",")[2]))
    return path


if __name__ == "__main__":
    sys.exit(main())
