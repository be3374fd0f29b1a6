"""A pharmacy's poster, made from the database by the other implementation of docs/protocol.md section 9."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import segno
from demo_world import confirm_with, team
from playwright.sync_api import Page, Route, expect
from segno import encoder
from stage import Stage, answer_with

from portal.e2ee.encoding import b64, sha256, unb64
from portal.e2ee.safety import SafetyNumber, safety_number

TEAM = "riverside_pharmacists"


@dataclass(frozen=True)
class Paper:
    """A poster: where its picture leads, and its digits."""

    address: str
    digits: str


def poster(stage: Stage, of: str = TEAM, *, number: SafetyNumber | None = None, later: int = 0) -> Paper:
    """The poster of a team as printed now; a false one has another `number`, or is of `later` generations."""
    rows = stage.read("SELECT record FROM team_record WHERE team_id = ? ORDER BY gen", of)
    headers = [unb64(json.loads(row[0])["h"]) for row in rows]
    shown = number or safety_number(headers[0])
    place = f"{of}.{len(headers) + later}.{b64(shown.bytes)}.{b64(sha256(headers[-1]))}"
    return Paper(f"/compare#c={place}", shown.digits)


def false_poster(stage: Stage) -> Paper:
    """A poster of the same team with other keys."""
    return poster(stage, number=safety_number(b"somebody else's first record"))


def holds(drawn: str, text: str) -> bool:
    """Whether the path of a QR code, as a browser drew it, holds this text and nothing else."""
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawn)}
    # segno puts a whole byte of zeros where none is missing to the next one (ISO/IEC 18004, 7.4.10, asks for none).
    with patch.object(encoder, "write_padding_bits", lambda bits, _, length: bits.extend([0] * (-length % 8))):
        # Which of the eight masks suits a text best, two libraries need not find alike.
        codes = [segno.make_qr(text, error="m", boost_error=False, mask=mask).matrix for mask in range(8)]
    return dark in [{(x, y) for y, row in enumerate(rows) for x, one in enumerate(row) if one} for rows in codes]


def generations(stage: Stage) -> int:
    """How many there are of the team's key."""
    return len(stage.read("SELECT gen FROM team_record WHERE team_id = ?", TEAM))


def renewed(stage: Stage) -> Page:
    """Bob, a member, makes a new key for the team."""
    bob = _asks_for_a_new_key(stage)
    after = generations(stage) + 1
    confirm_with(bob, stage.with_code("bob"))
    expect(team(bob)).to_have_attribute("data-gen", str(after))
    return bob


def at_least_two(stage: Stage) -> None:
    """The team's key has been renewed, by whatever came before or now."""
    stage.founded()
    if generations(stage) < 2:
        renewed(stage)


def other_way(stage: Stage, page: Page) -> Paper:
    """A patient's page has seen a next key of the team that was lost with the server, and Bob has made another one.

    Gives the poster from before both.
    """
    before = poster(stage)
    lost = _lost_record(stage)
    answer_with(page, "**/api/directory/lookup", _with(lost))
    page.goto("/compare")
    page.locator(f"[data-team={TEAM}]").wait_for()
    page.unroute_all(behavior="ignoreErrors")
    page.goto("about:blank")
    renewed(stage)
    return before


def _asks_for_a_new_key(stage: Stage) -> Page:
    code = stage.with_code("bob")
    assert code
    bob = stage.with_keys("bob", "/team")
    team(bob).get_by_role("button", name="Make a new key").click()
    return bob


def _lost_record(stage: Stage) -> dict[str, Any]:
    """A record that Bob's browser has made and signed, and that the server has not kept."""
    bob = _asks_for_a_new_key(stage)
    made: list[dict[str, Any]] = []

    def lose(route: Route) -> None:
        made.append(route.request.post_data_json)
        problem = {"type": "about:blank", "title": "", "status": 403, "code": "forbidden", "detail": "Lost."}
        route.fulfill(status=403, json=problem, content_type="application/problem+json")

    bob.route("**/api/teams/*/records", lose)
    with bob.expect_response("**/api/teams/*/records"):
        bob.locator("dialog #secret-code").fill(stage.with_code("bob"))
        bob.locator("dialog button[type=submit]").click()
    bob.unroute_all(behavior="ignoreErrors")
    ((by,),) = stage.read("SELECT id FROM account WHERE email = 'bob@demo.example'")
    return made[0] | {"by": by}


def _with(record: dict[str, Any]) -> Callable[[Any], Any]:
    """Answers of the directory in which the team goes on with a record."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        items = [one | ({"records": [*one["records"], record]} if one["id"] == TEAM else {}) for one in answer["items"]]
        return answer | {"items": items}

    return change
