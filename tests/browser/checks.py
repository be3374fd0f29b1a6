"""What every page must pass in a real browser: axe-core, 320 px with doubled text, the keyboard alone, large targets.

Each check gives what it found, one line each; an empty list is good. They run by the page's debugger, which the content
security policy does not bind.
"""

from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "client/node_modules/axe-core/axe.min.js"
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 900}
# The smallest side of what patients touch, in CSS pixels (WCAG 2.2, 2.5.5 Target Size, enhanced).
TARGET = 44

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
    "() => {"
    + _SEEN
    + """
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
globalThis.__stops = reached().filter((one) => {
  if (one.type !== "radio") return true;
  const fresh = !groups.has(one.name);
  groups.add(one.name);
  return fresh;
});
if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
return globalThis.__stops.map(name);
}"""
)
_STOP = """() => {
const one = document.activeElement;
const style = getComputedStyle(one);
// What is marked around the thing itself, or around the row, tile or box it stands for.
const around = one.closest("label, .tile, .field, .row, li");
const marked = [one, ...(one.labels ?? []), one.parentElement, around].some((each) => {
  if (each == null) return false;
  const drawn = getComputedStyle(each);
  return (drawn.outlineStyle !== "none" && parseFloat(drawn.outlineWidth) > 0) || drawn.boxShadow !== "none";
});
const place = globalThis.__stops.findIndex((each) => each === one || (each.type === "radio" && each.name === one.name));
return [place, marked];
}"""


def axe(page: Page) -> list[str]:
    """What axe-core finds."""
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate(AXE.read_text("utf-8") + "\n;0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"axe {one['id']}: {node['html'][:140]}" for one in found["violations"] for node in one["nodes"]]


def axe_in_both_themes(page: Page) -> list[str]:
    """What axe-core finds by day and by night."""
    found = axe(page)
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in axe(page)]
    page.emulate_media(color_scheme="light")
    return found


def narrow(page: Page) -> list[str]:
    """What does not fit at 320 px with text of double size. The page is narrow afterwards."""
    page.set_viewport_size(NARROW)
    page.evaluate("document.documentElement.dataset.text = 'large'")
    page.wait_for_timeout(50)
    return list(page.evaluate(_CUT))


def small_targets(page: Page) -> list[str]:
    """What is too small to touch, at the present width; nothing for staff, who have a mouse."""
    if page.evaluate("document.documentElement.dataset.audience") == "staff":
        return []
    return [f"small: {one}" for one in page.evaluate(_SMALL, TARGET)]


def keyboard(page: Page) -> list[str]:
    """What the Tab key alone does not reach, and where the focus cannot be seen."""
    names: list[str] = page.evaluate(_STOPS)
    reached: set[int] = set()
    unmarked: set[int] = set()
    # Fields for a date or a time have stops of their own inside.
    for _ in range(4 * len(names) + 8):
        page.keyboard.press("Tab")
        place, marked = page.evaluate(_STOP)
        if place >= 0:
            reached.add(place)
            if not marked:
                unmarked.add(place)
        if len(reached) == len(names):
            break
    missed = [f"not reached by Tab: {name}" for index, name in enumerate(names) if index not in reached]
    return missed + [f"focus not visible: {names[index]}" for index in sorted(unmarked)]
