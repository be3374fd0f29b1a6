"""What every page must pass in a real browser: axe-core, 320 px with doubled text, the keyboard alone, large targets.

Each check gives what it found, one line each; an empty list is good. They run by the page's debugger, which the content
security policy does not bind.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "client/node_modules/axe-core/axe.min.js"
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 900}
# The smallest side of what patients touch, in CSS pixels (WCAG 2.2, 2.5.5 Target Size, enhanced).
TARGET = 44
# How long a page may take to become whole.
PATIENCE_SECONDS = 30

_SEEN = """
const how = { visibilityProperty: true, opacityProperty: true };
const seen = (one) => one.checkVisibility(how) && one.getClientRects().length > 0;
const hiddenText = (one) => one.closest(".sr-only, .skip") !== null;
const words = (one) => (one.getAttribute("aria-label") ?? one.innerText ?? one.id).trim().slice(0, 60);
const name = (one) => `${one.tagName.toLowerCase()} ${words(one)}`;
const modal = [...document.querySelectorAll("dialog[open]")].at(-1);
const REACHED = [
  "a[href]", "button:not([disabled])", "input:not([type=hidden]):not([disabled])",
  "select", "textarea", "summary", "[tabindex='0']",
].join();
const reached = () => [...(modal ?? document).querySelectorAll(REACHED)].filter(seen);
"""
_CUT = (
    "async () => {"
    + _SEEN
    + """
// What measures itself has done so by the second frame.
for (const _ of [1, 2]) await new Promise((drawn) => { requestAnimationFrame(drawn); });
const found = [];
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) found.push(`the page is ${wide} px wide`);
for (const one of document.querySelectorAll("body *")) {
  if (!seen(one) || hiddenText(one) || one.closest("svg") !== null) continue;
  const own = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== "");
  const place = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  if (own && (place.right > innerWidth + 1 || place.left < -1)) found.push(`outside: ${name(one)}`);
  const cuts = style.overflowX !== "visible" && one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1;
  if (cuts && !["INPUT", "TEXTAREA", "SELECT"].includes(one.tagName)) {
    const beyond = (part) => part.getBoundingClientRect().right > place.right + 1;
    const wider = [...one.querySelectorAll("*")].filter(beyond).at(-1);
    found.push(`cut: ${name(one)}${wider === undefined ? "" : `, by ${name(wider)}`}`);
  }
}
return [...new Set(found)];
}"""
)
_SMALL = (
    "(least) => {"
    + _SEEN
    + """
const found = [];
for (const one of reached()) {
  if (hiddenText(one)) continue;
  // A link within a sentence is as high as the sentence.
  if (one.tagName === "A" && getComputedStyle(one).display === "inline") continue;
  const label = one.labels?.[0];
  const places = [one, ...(label === undefined ? [] : [label])].map((each) => each.getBoundingClientRect());
  const width = Math.max(...places.map((place) => place.width));
  const height = Math.max(...places.map((place) => place.height));
  const size = `${Math.round(width)} x ${Math.round(height)} px`;
  if (width < least - 0.5 || height < least - 0.5) found.push(`${name(one)}: ${size}`);
}
return found;
}"""
)
_STOPS = (
    "() => {"
    + _SEEN
    + """
const groups = new Set();
const stops = reached().filter((one) => {
  if (one.type !== "radio") return true;
  const fresh = !groups.has(one.name);
  groups.add(one.name);
  return fresh;
});
// What is marked around the thing itself, or around the row, tile or box it stands for.
const isMarked = (one) => {
  const around = one.closest("label, .tile, .field, .row, li");
  return [one, ...(one.labels ?? []), one.parentElement, around].some((each) => {
    if (each == null) return false;
    const drawn = getComputedStyle(each);
    return (drawn.outlineStyle !== "none" && parseFloat(drawn.outlineWidth) > 0) || drawn.boxShadow !== "none";
  });
};
globalThis.__walked?.end.abort();
const end = new AbortController();
const marked = stops.map(() => null);
globalThis.__walked = { end, marked };
addEventListener("focusin", ({ target: at }) => {
  const place = stops.findIndex((one) => one === at || (one.type === "radio" && one.name === at.name));
  if (place >= 0) marked[place] = marked[place] !== false && isMarked(at);
}, { capture: true, signal: end.signal });
if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
return stops.map(name);
}"""
)
# The rules that look at colours. By night the page is the same but for its colours: the only thing that styles ask
# prefers-color-scheme for are the values of the colours (client/styles/sheets/tokens.css).
_OF_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
_AXE = """async (options) => {
const { violations } = await axe.run(document, { resultTypes: ["violations"], ...options });
return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `axe ${id}: ${html.slice(0, 140)}`));
}"""


def lasting(page: Page, check: Callable[[Page], list[str]]) -> list[str]:
    """What a check finds and goes on finding: a page that is still being drawn may yet become whole."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (found := check(page)) and time.monotonic() < end:
        page.wait_for_timeout(200)
    return found


def axe(page: Page) -> list[str]:
    """What axe-core finds."""
    return lasting(page, _axe_now)


def _axe_now(page: Page, **options: Any) -> list[str]:
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(_axe_core())
    return list(page.evaluate(_AXE, options))


@cache
def _axe_core() -> str:
    return AXE.read_text("utf-8") + "\n;0"


def axe_by_night(page: Page) -> list[str]:
    """What axe-core finds in the dark colours, of what may differ there."""
    page.emulate_media(color_scheme="dark")
    try:
        return [f"dark: {one}" for one in lasting(page, lambda page: _axe_now(page, **_OF_COLOURS))]
    finally:
        page.emulate_media(color_scheme="light")


def narrow(page: Page) -> list[str]:
    """What does not fit at 320 px with text of double size. The page is narrow afterwards."""
    page.set_viewport_size(NARROW)
    page.evaluate("document.documentElement.dataset.text = 'large'")
    return list(page.evaluate(_CUT))


def small_targets(page: Page) -> list[str]:
    """What is too small to touch, at the present width; nothing for staff, who have a mouse."""
    if page.evaluate("document.documentElement.dataset.audience") == "staff":
        return []
    return [f"small: {one}" for one in page.evaluate(_SMALL, TARGET)]


def keyboard(page: Page) -> list[str]:
    """What the Tab key alone does not reach, and where the focus cannot be seen."""
    names: list[str] = page.evaluate(_STOPS)
    marked: list[bool | None] = []
    # One round, with the step out of the page and in again; fields for a date or a time have stops of their own inside.
    for presses in (len(names) + 2, *[len(names) // 2 + 2] * 6):
        for _ in range(presses):
            page.keyboard.press("Tab")
        marked = page.evaluate("globalThis.__walked.marked")
        if None not in marked:
            break
    found = zip(names, marked, strict=True)
    return [
        f"{'not reached by Tab' if mark is None else 'focus not visible'}: {name}" for name, mark in found if not mark
    ]
