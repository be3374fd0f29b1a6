"""Signed notes and checkpoints: the shared vectors open, everything that bends the form is refused."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.translog.checkpoints import Checkpoint, open_checkpoint
from portal.translog.notes import NoteRefused, SigningKey, VerifierKey, open_note

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "tlog_vectors.json").read_text("utf-8"))
KEY = SigningKey("portal.test/audit", bytes(range(32)))
OTHER = SigningKey("portal.test/audit", bytes(range(1, 33)))
CHECKPOINT = Checkpoint("portal.test/audit", 7, bytes(32))


def test_the_shared_notes_open() -> None:
    key = VerifierKey.parse(VECTORS["log_vkey"])
    assert str(key) == VECTORS["log_vkey"]
    new = open_checkpoint(VECTORS["note"], [key], origin="portal.example/kt")
    old = open_checkpoint(VECTORS["note_old"], [key], origin="portal.example/kt")
    assert (old.size, new.size) == (40, 70)
    assert VECTORS["note"].startswith(new.text())


def test_keys_survive_their_text_form() -> None:
    again = SigningKey.parse(KEY.secret_text())
    assert again.verifier == KEY.verifier
    assert VerifierKey.parse(str(KEY.verifier)) == KEY.verifier
    assert again.sign("text\n") == KEY.sign("text\n")


def test_a_checkpoint_opens_with_its_key_among_others() -> None:
    note = CHECKPOINT.signed(KEY)
    assert open_checkpoint(note, [OTHER.verifier, KEY.verifier], origin="portal.test/audit") == CHECKPOINT


def test_signatures_of_strangers_are_passed_over() -> None:
    stranger = SigningKey("witness.test", bytes(32))
    note = CHECKPOINT.signed(KEY) + stranger.sign(CHECKPOINT.text()).split("\n\n")[1]
    assert open_checkpoint(note, [KEY.verifier], origin="portal.test/audit") == CHECKPOINT
    with pytest.raises(NoteRefused, match="no known key"):
        open_checkpoint(stranger.sign(CHECKPOINT.text()), [KEY.verifier], origin="portal.test/audit")


def test_a_wrong_signature_of_a_known_key_refuses_the_note() -> None:
    stranger = SigningKey("witness.test", bytes(32))
    note = CHECKPOINT.signed(KEY).replace("\n7\n", "\n8\n")
    with pytest.raises(NoteRefused, match=r"portal\.test/audit is wrong"):
        open_note(note, [KEY.verifier])
    both = stranger.sign("x\n") + KEY.sign("y\n").split("\n\n")[1]
    with pytest.raises(NoteRefused, match="is wrong"):
        open_note(both, [stranger.verifier, KEY.verifier])


GOOD = CHECKPOINT.signed(KEY)
HEAD, SIGNATURES = GOOD.split("\n\n")


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        HEAD + "\n",
        HEAD + "\n\n",
        GOOD.rstrip("\n"),
        GOOD + "\n",
        GOOD.replace("— ", "- "),
        GOOD.replace("\n", "\r\n"),
        HEAD + "\n\n— portal.test/audit AAAA\n",
        HEAD + "\n\n— portal.test/audit ?\n",
        HEAD + "\n\n" + SIGNATURES.rstrip("\n").rstrip("=")[:-1] + "\n",
        HEAD + "\n\n" + SIGNATURES * 101,
        "x" * (1 << 20) + GOOD,
    ],
)
def test_malformed_notes_are_refused(note: str) -> None:
    with pytest.raises(NoteRefused):
        open_note(note, [KEY.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "portal.test/audit\n7\n",
        "portal.test/audit\n7\n" + base64.b64encode(bytes(32)).decode() + "\nextension\n",
        "other.test/audit\n7\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "portal.test/audit\n07\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "portal.test/audit\n-1\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "portal.test/audit\n٧\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "portal.test/audit\n7\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "portal.test/audit\n7\n" + base64.b64encode(bytes(32)).decode()[:-2] + "B=\n",
        "portal.test/audit\n7\n!\n",
    ],
)
def test_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        open_checkpoint(KEY.sign(text), [KEY.verifier], origin="portal.test/audit")


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "portal.test",
        "portal.test+00000000+AAAA",
        str(KEY.verifier).replace("+", " "),
        str(KEY.verifier)[:-4],
        "x" + str(KEY.verifier),
        *VECTORS["witness_vkeys"],
    ],
)
def test_malformed_and_other_kinds_of_keys_are_refused(vkey: str) -> None:
    with pytest.raises(NoteRefused):
        VerifierKey.parse(vkey)


def test_a_bad_private_key_is_refused_without_being_repeated() -> None:
    secret = KEY.secret_text()
    for wrong in (secret[8:], secret.replace("audit", "other"), secret + "A"):
        with pytest.raises(NoteRefused) as problem:
            SigningKey.parse(wrong)
        assert secret[-40:] not in str(problem.value)


def test_names_with_blanks_and_texts_without_an_end_are_not_signed() -> None:
    with pytest.raises(NoteRefused):
        SigningKey("two words", bytes(32))
    with pytest.raises(NoteRefused):
        KEY.sign("no newline")
    with pytest.raises(NoteRefused):
        CHECKPOINT.signed(SigningKey("other", bytes(32)))


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_no_single_character_can_be_exchanged(place: int, sign: str) -> None:
    note = GOOD[:place] + sign + GOOD[place + 1 :]
    if note != GOOD:
        with pytest.raises(NoteRefused):
            open_checkpoint(note, [KEY.verifier], origin="portal.test/audit")
