"""What a story costs the people in it: taps, fields and letters typed, seconds. Printed for whoever reads the test."""

import time
from collections import Counter
from typing import Any

from playwright.sync_api import Page

# A finger or mouse that goes down is one tap, whatever it sets off. Of a field is told what it is, and how long what
# stands in it is: never what stands in it.
_COUNT = """
document.addEventListener("pointerdown", (event) => { if (event.isTrusted) window.tallyTap(); }, true);
document.addEventListener("input", (event) => {
  const field = event.target;
  if (!event.isTrusted || !field.matches("textarea, select, input:not([type=checkbox], [type=radio])")) return;
  window.tallyTyped(location.pathname, field.id || field.name || field.className, field.type, field.value.length);
}, true);
"""


class Tally:
    """Counts for each person of a story from when they are watched."""

    def __init__(self) -> None:
        self.taps: Counter[str] = Counter()
        self._typed: dict[str, dict[tuple[str, str, str], int]] = {}
        self._began = time.monotonic()
        self._steps: list[tuple[str, float]] = []

    def watch(self, who: str, page: Page) -> Page:
        """Count what somebody does in the profile of this page, from its next load on."""
        self._typed[who] = {}

        def tapped(_source: Any) -> None:
            self.taps[who] += 1

        def typed(_source: Any, path: str, field: str, kind: str, letters: int) -> None:
            self._typed[who][path, field, kind] = letters

        page.context.expose_binding("tallyTap", tapped)
        page.context.expose_binding("tallyTyped", typed)
        page.context.add_init_script(_COUNT)
        return page

    def fields(self, who: str) -> dict[tuple[str, str, str], int]:
        """What somebody typed into: page, name and kind of each field, and how many letters stood there last."""
        return dict(self._typed[who])

    def step(self, what: str) -> None:
        """A part of the story ends."""
        self._steps.append((what, time.monotonic()))

    def in_all(self) -> tuple[int, int]:
        """Taps and typed letters of everybody together."""
        return sum(self.taps.values()), sum(sum(fields.values()) for fields in self._typed.values())

    def report(self) -> str:
        """Seconds of each part on this machine, and what everybody tapped and typed."""
        lines, before = [], self._began
        for what, at in self._steps:
            lines.append(f"{what}: {at - before:.0f} s")
            before = at
        for who, fields in self._typed.items():
            lines.append(f"{who}: {self.taps[who]} taps, {len(fields)} fields, {sum(fields.values())} letters")
        return "\n".join([*lines, f"in all: {before - self._began:.0f} s"])
