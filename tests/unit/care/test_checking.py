"""Testing an EHR connection: also the searches by which people are found who are invited or ask to be found."""

from collections.abc import Sequence
from typing import Any

import pytest

from portal.care import checking
from portal.care.checking import Finding, Light
from portal.core import texts
from portal.ehr.client import Capabilities
from portal.ehr.errors import EhrRefused

WANTED = {"by-name": {"name", "birthdate"}, "by-phone": {"phone"}, "by-number": {"identifier"}}


class Ehr:
    """An EHR that refuses some search parameters."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.asked: list[set[str]] = []

    def capabilities(self, *, fresh: bool) -> Capabilities:
        return Capabilities("4.0.1", "an EHR", True, frozenset(), False)

    def search_many(self, searches: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[Any]:
        self.asked = [{name for name, _ in params} for _, params in searches]
        return [EhrRefused(400) if names & self.refused else () for names in self.asked]


def searches(ehr: Ehr) -> dict[str, Finding]:
    found = checking.examine(ehr)  # type: ignore[arg-type]
    return {one.what.partition(":")[2]: one for one in found if one.what.startswith("search:")}


def test_the_searches_of_invitations_are_tried() -> None:
    ehr = Ehr()
    found = searches(ehr)
    assert {found[part].light for part in WANTED} == {Light.GREEN}
    for names in WANTED.values():
        assert any(names <= asked for asked in ehr.asked)
    for part in found:
        for language in texts.LANGUAGES:
            assert texts.get(f"setup.part.{part}", language)


@pytest.mark.parametrize(("refused", "part"), [("phone", "by-phone"), ("name", "by-name")])
def test_one_that_is_refused_is_amber_and_named(refused: str, part: str) -> None:
    found = searches(Ehr(refused))
    assert (found[part].light, found[part].why) == (Light.AMBER, "refused")
