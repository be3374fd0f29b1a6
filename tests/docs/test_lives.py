"""The drawings in docs/architecture.md are those of the tables in code."""

from pathlib import Path
from typing import Any

import pytest

from portal.accounts import carer_invitations, devices, invitations, stops
from portal.care import asking
from portal.core.lives import Life
from portal.identity import session_life
from portal.outbox import jobs
from portal.pharmacies import identity_checks, recovery_acts, staff_invitations, teams
from portal.threads import attachments

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


LIVES: list[Life[Any, Any]] = [
    session_life.LIFE,
    devices.LIFE,
    teams.LIFE,
    attachments.LIFE,
    jobs.LIFE,
    staff_invitations.LIFE,
    stops.LIFE,
    carer_invitations.LIFE,
    invitations.LIFE,
    recovery_acts.LIFE,
    identity_checks.LIFE,
    asking.LIFE,
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_the_page_draws_what_the_table_says(life: Life[Any, Any]) -> None:
    page = PAGE.read_text("utf-8")
    assert f"```mermaid\n{life.drawing()}\n```" in page, f"put this for the {life.name}:\n{life.drawing()}"
