"""WCAG 2.2 contrast of the colour tokens, in both themes: 4.5:1 for text, 3:1 for edges of controls and the focus."""

import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).resolve().parents[4] / "client/styles/sheets/tokens.css").read_text("utf-8")
TEXT = [
    *(
        (ink, ground)
        for ink in ("ink", "ink-soft", "link")
        for ground in ("paper", "surface", "sunken", "brand-soft", "mine")
    ),
    *((f"{tone}", f"{tone}-soft") for tone in ("urgent", "warn", "ok", "info")),
    *((tone, ground) for tone in ("urgent", "warn", "ok", "info", "brand") for ground in ("surface", "paper")),
    *(("ink", f"{tone}-soft") for tone in ("urgent", "warn", "ok", "info")),
    ("on-brand", "brand"),
    ("on-brand", "brand-strong"),
    ("brand-strong", "brand-soft"),
    ("on-urgent", "urgent"),
]
EDGES = [
    (edge, ground) for edge in ("edge", "focus", "brand", "urgent", "warn-edge") for ground in ("paper", "surface")
]


def themes() -> dict[str, dict[str, str]]:
    light_part, _, dark_part = TOKENS.partition("@media (prefers-color-scheme: dark)")
    light = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light_part))
    return {"light": light, "dark": light | dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", dark_part))}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2, section 1.4.3)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (EDGES, 3.0)])
def test_every_pair_in_use_can_be_told_apart(theme: str, pairs: list[tuple[str, str]], least: float) -> None:
    colours = themes()[theme]
    weak = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: found for pair, found in weak.items() if found < least} == {}
