"""What holds for all inputs: encodings, padding, tampering, keys that never repeat."""

import base64
import contextlib
import json
from typing import Any

import pytest
from e2ee_vectors import cases_of, verdict, world
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.e2ee import attachments, keys, padding, recovery
from portal.e2ee.encoding import b64, pae, unb64
from portal.e2ee.identity import Device
from portal.e2ee.open import open_message
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import read_record
from portal.e2ee.seal import Writer
from portal.e2ee.verify import ThreadState, verify_thread

FEW = settings(max_examples=60, deadline=None)
MANY = settings(max_examples=200, deadline=None)


@MANY
@given(st.binary(max_size=100))
def test_bytes_have_one_text(data: bytes) -> None:
    assert unb64(b64(data)) == data
    assert b64(data) == base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@MANY
@given(st.text("ABCabc019-_+/= \n", max_size=12))
def test_a_text_is_the_one_text_of_its_bytes_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        assert b64(unb64(text)) == text


@MANY
@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_two_lists_never_have_the_same_encoding(left: list[bytes], right: list[bytes]) -> None:
    assert (pae(*left) == pae(*right)) == (left == right)


@MANY
@given(st.binary(max_size=3_000))
def test_padding_comes_back(content: bytes) -> None:
    padded = padding.pad(content)
    assert padding.unpad(padded) == content
    assert padding.is_bucket(len(padded))


@MANY
@given(st.integers(0, 30_000_000))
def test_buckets_hold_and_waste_little(size: int) -> None:
    bucket = padding.bucket(size)
    assert size <= bucket == padding.bucket(bucket)
    assert bucket <= max(256, size * 1.125)
    assert padding.is_bucket(bucket)


@FEW
@given(st.binary(min_size=1, max_size=400), st.data())
def test_padding_bent_anywhere_never_gives_other_content_of_another_length(content: bytes, data: Any) -> None:
    padded = bytearray(padding.pad(content))
    at = data.draw(st.sampled_from([*range(4), *range(4 + len(content), len(padded))]))
    padded[at] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(Refused):
        changed = padding.unpad(bytes(padded))
        # Only the length may have changed, to one of the same bucket whose rest is zeros.
        assert padding.pad(changed) == bytes(padded)


THREAD = next(case for case in cases_of("rxe2ee", "threads") if case["expect"] == "ok")


@FEW
@given(st.data())
def test_no_bit_of_a_thread_can_be_changed(data: Any) -> None:
    """One bit of any signed member of any record: refused at that record, or before the end."""
    records = json.loads(json.dumps(THREAD["records"]))
    place = data.draw(st.integers(0, len(records) - 1))
    names = [name for name in records[place] if name != "w"]
    name = data.draw(st.sampled_from(names))
    value = bytearray(unb64(records[place][name]))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    records[place][name] = b64(bytes(value))
    refusal = verify_thread(THREAD["thread"], records, world(THREAD)).refusal
    assert refusal is not None
    assert refusal.seq == place + 1


@FEW
@given(st.data())
def test_no_bit_of_a_wrap_can_be_changed(data: Any) -> None:
    records = json.loads(json.dumps(THREAD["records"]))
    wraps = records[0]["w"]
    name = data.draw(st.sampled_from(sorted(wraps)))
    value = bytearray(unb64(wraps[name]))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    wraps[name] = b64(bytes(value))
    refusal = verify_thread(THREAD["thread"], records, world(THREAD)).refusal
    assert refusal is not None
    assert refusal.reason is Reason.WRAP_HASH


def _writer() -> Writer:
    state = ThreadState("0" * 32, 1, bytes(32), epoch=1)
    return Writer(Device.new("alice", "alice_phone"), state, {1: bytes(32)})


@FEW
@given(st.binary(max_size=300), st.data())
def test_no_bit_of_a_ciphertext_can_be_changed_even_by_who_may_sign(body: bytes, data: Any) -> None:
    record = _writer().message(body, 0)
    ct = bytearray(record.ct or b"")
    ct[data.draw(st.integers(0, len(ct) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Refused) as refused:
        open_message(record, bytes(ct), bytes(32))  # type: ignore[arg-type]
    assert refused.value.reason in (Reason.KEY_COMMITMENT, Reason.AEAD)


def test_the_same_message_twice_never_uses_a_key_or_nonce_twice() -> None:
    """Two tabs, or a machine that was restored, seal the same body in the same place under the same secret."""
    seen = set()
    for _ in range(300):
        record = _writer().message(b"the same", 0)
        key = keys.message_key(bytes(32), record.header.salt, record.h)  # type: ignore[attr-defined]
        seen |= {key.key, key.nonce, key.commitment}
    assert len(seen) == 900


@FEW
@given(st.integers(0, 60_000), st.lists(st.integers(1, 20_000), max_size=8))
def test_a_file_comes_back_however_it_is_cut_into_parts(size: int, cuts: list[int]) -> None:
    content = bytes(at % 251 for at in range(size))
    context = attachments.context("0" * 32, "a1")
    sealer = attachments.Sealer(bytes(32), context)
    stored = sealer.begin() + b"".join(sealer.update(part) for part in _parts(content, cuts)) + sealer.finish()
    opener = attachments.Opener(bytes(32), context)
    assert b"".join(opener.update(part) for part in _parts(stored, cuts[::-1])) + opener.finish() == content


def _parts(data: bytes, cuts: list[int]) -> list[bytes]:
    parts, at = [], 0
    for cut in cuts:
        parts.append(data[at : at + cut])
        at += cut
    return [*parts, data[at:]]


@given(st.integers(0, 30_000_000))
def test_the_stored_size_is_known_beforehand(size: int) -> None:
    chunks = padding.bucket(size) // attachments.CHUNK_BYTES + 1
    assert attachments.stored_size(size) == 56 + padding.bucket(size) + 16 * chunks


@MANY
@given(st.integers(0, 26), st.sampled_from(recovery.ALPHABET), st.integers(0, 25))
def test_one_wrong_or_two_exchanged_symbols_of_a_code_are_noticed(at: int, symbol: str, swap: int) -> None:
    code = recovery.make_code().replace("-", "")
    wrong = code[:at] + symbol + code[at + 1 :]
    exchanged = code[:swap] + code[swap + 1] + code[swap] + code[swap + 2 :]
    for typed in (wrong, exchanged):
        if typed != code:
            with pytest.raises(Refused):
                recovery.read_code(typed)


@FEW
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda it: (
            st.lists(it, max_size=3)
            | st.dictionaries(st.sampled_from(["h", "sig", "w", "wh", "ct", "cth", "x"]), it, max_size=5)
        ),
        max_leaves=8,
    )
)
def test_whatever_is_served_as_a_record_is_refused_and_nothing_else_happens(raw: Any) -> None:
    with pytest.raises(Refused):
        read_record(raw)


def test_all_vectors_of_both_languages_are_alike_in_shape() -> None:
    for kind in ("threads", "teams", "objects"):
        ours, theirs = (set(cases_of(folder, kind)[0]) for folder in ("rxe2ee", "rxe2ee-ts"))
        assert ours & theirs >= {"name", "world", "expect"}
        assert verdict(kind, cases_of("rxe2ee", kind)[0])[0]
