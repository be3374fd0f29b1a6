"""Secrets at rest open for the one they were sealed for, and survive the change of the operator's key."""

import pytest

from portal.core.secrets_box import CannotOpen, SecretsBox

OLD, NEW = "an old key of at least 32 characters", "a new key of at least 32 characters"
ALICE, BOB = ("a" * 32, "https://idp.test"), ("b" * 32, "https://idp.test")


def test_what_was_sealed_for_alice_opens_for_alice() -> None:
    box = SecretsBox([NEW], "id-token")
    sealed = box.seal("a token", *ALICE)
    assert box.open(sealed, *ALICE) == "a token"
    assert b"a token" not in sealed
    assert box.seal("a token", *ALICE) != sealed


def test_a_row_copied_to_bob_does_not_open() -> None:
    box = SecretsBox([NEW], "id-token")
    sealed = box.seal("a token", *ALICE)
    for bound in (BOB, ALICE[:1], (ALICE[0], "https://other.test"), (ALICE[0] + "h", "ttps://idp.test")):
        with pytest.raises(CannotOpen):
            box.open(sealed, *bound)


def test_purposes_do_not_share_a_key() -> None:
    sealed = SecretsBox([NEW], "id-token").seal("a token", *ALICE)
    with pytest.raises(CannotOpen):
        SecretsBox([NEW], "ehr-credential").open(sealed, *ALICE)


def test_the_key_is_changed_without_losing_anything() -> None:
    before = SecretsBox([OLD], "id-token").seal("a token", *ALICE)
    box = SecretsBox([NEW, OLD], "id-token")
    assert box.open(before, *ALICE) == "a token"
    after = box.seal("a token", *ALICE)
    with pytest.raises(CannotOpen):
        SecretsBox([OLD], "id-token").open(after, *ALICE)
    with pytest.raises(CannotOpen):
        SecretsBox([NEW], "id-token").open(before, *ALICE)


def test_every_changed_bit_is_noticed() -> None:
    box = SecretsBox([NEW], "id-token")
    sealed = box.seal("x", *ALICE)
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            with pytest.raises(CannotOpen):
                box.open(bytes(changed), *ALICE)
    for cut in (b"", sealed[:1], sealed[:12], sealed[:-1]):
        with pytest.raises(CannotOpen):
            box.open(cut, *ALICE)


def test_without_a_key_there_is_no_box() -> None:
    with pytest.raises(ValueError, match="PORTAL_SECRET_KEY"):
        SecretsBox([], "id-token")
