"""The link that stops a kind of mail: for one person, one kind and one channel, and for nothing else."""

import pytest

from portal.core.secrets_box import SecretsBox
from portal.notify.one_tap import OneTap, Stopped

ALICE = "a" * 32
KEY, OLD = "k" * 32, "o" * 32


def token(key: str = KEY) -> str:
    return OneTap([key], "https://portal.test").link(ALICE, "message", "mail").rpartition("/")[2]


def test_a_link_names_its_person_and_kind_to_this_portal_only() -> None:
    made = token()
    assert OneTap([KEY], "https://portal.test").read(made) == Stopped(ALICE, "message", "mail")
    assert ALICE not in made
    assert OneTap([OLD], "https://portal.test").read(made) is None
    # A mail of last year still stops them after the key was changed.
    assert OneTap([KEY, OLD], "https://portal.test").read(token(OLD)) == Stopped(ALICE, "message", "mail")


@pytest.mark.parametrize("place", [0, 10, 60, -2])
def test_a_link_that_was_changed_is_none(place: int) -> None:
    made = list(token())
    made[place] = "A" if made[place] != "A" else "B"
    assert OneTap([KEY], "https://portal.test").read("".join(made)) is None


@pytest.mark.parametrize("other", ["", "nothing", "a" * 39, "a" * 401, "ä" * 60, "a" * 60 + "=", "../" * 20])
def test_nothing_else_is_a_link(other: str) -> None:
    assert OneTap([KEY], "https://portal.test").read(other) is None


def test_what_is_sealed_for_something_else_stops_nothing() -> None:
    import base64

    sealed = SecretsBox([KEY], "identity").seal(f"{ALICE} message mail")
    assert OneTap([KEY], "https://portal.test").read(base64.urlsafe_b64encode(sealed).decode().rstrip("=")) is None
