"""Alice asks, Bob answers, others come and go: sealing and verifying as members and the server do it."""

import json

import pytest
from e2ee_vectors import VECTORS
from vectors import generator

from portal.e2ee import ed25519, recovery, seal, selftest
from portal.e2ee.attachments import FileFacts, open_file, seal_file
from portal.e2ee.directory import Pin, pin_of, resets_since, verify_chain, who
from portal.e2ee.identity import Device, EncryptionKey, Identity, Person
from portal.e2ee.objects import ObjectName, RootKind, Via, read_inbound, read_root_box, seal_inbound, verify_object
from portal.e2ee.open import Shown, open_inbound, open_object, open_root_box, open_team, read_thread
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import ReceiptKind, Role, read_record
from portal.e2ee.register import Register
from portal.e2ee.seal import Party, Writer, begin_thread
from portal.e2ee.teams import TeamMember
from portal.e2ee.verify import Head, ThreadState, advance, author_of, place_in, verify_receipt, verify_thread

TEAM = "linden_pharmacists"


class Town:
    """Everybody's public side, verified, and the people with their keys."""

    def __init__(self, *names: str) -> None:
        self.register = Register()
        self.people = {name: Person.new(name, f"{name}_phone") for name in names}
        for name, person in self.people.items():
            self.register.add_chain(name, [seal.first_entry(person).to_json()])
            self.register.add_certificate(f"{name}_phone", seal.certificate(person.identity, person.device, 0))
        bob = self.people["bob"]
        self.team, self.team_key = seal.found_team(TEAM, bob, [self.member("bob")])
        self.register.add_team(TEAM, [self.team.to_json()])

    def member(self, name: str) -> tuple[TeamMember, object]:
        return TeamMember(name, Role.PHARMACIST, who(self.register.entries(name))), self.entry(name)

    def entry(self, name: str):  # type: ignore[no-untyped-def]
        found = self.register.user(name)
        assert found is not None
        return found

    @property
    def parties(self) -> list[Party]:
        return [Party(self.entry("alice"), Role.PATIENT), Party(self.entry(TEAM), Role.TEAM)]


@pytest.fixture(scope="module")
def town() -> Town:
    return Town("alice", "bob", "carol", "dave")


def test_alice_asks_and_bob_answers_and_both_read_all(town: Town) -> None:
    alice, bob = town.people["alice"], town.people["bob"]
    writer, records = begin_thread(alice.device, town.parties, b"Can I take these together?", "medicine", 1)
    team_keys = {(TEAM, 1): town.team_key.seed}
    seen = verify_thread(writer.state.thread, [record.to_json() for record in records], town.register)
    assert seen.refusal is None
    answer = Writer(bob.device, seen.state, read_thread(seen.records, team_keys).secrets)
    records += [answer.message(b"Yes.", 2), answer.epoch(town.parties, 3), answer.message(b"And the new key works.", 4)]
    records += [answer.redact(3, "mistake", 5)]
    whole = verify_thread(writer.state.thread, [record.to_json() for record in records], town.register)
    assert whole.refusal is None
    for keyring in (alice.keyring, team_keys):
        reading = read_thread(whole.records, keyring)
        assert [it.opened.text if it.opened else it.shown for it in reading.messages] == [
            "Can I take these together?",
            Shown.RETRACTED,
            "And the new key works.",
        ]
    assert [it.shown for it in read_thread(whole.records, town.people["dave"].keyring).messages] == [
        Shown.UNREADABLE,
        Shown.RETRACTED,
        Shown.UNREADABLE,
    ]


def test_the_server_goes_on_from_a_row_and_verifies_one_signature_a_message(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = town.people["alice"]
    writer, records = begin_thread(alice.device, town.parties, b"0", "medicine", 0)
    records += [writer.message(b"%d" % number, number) for number in range(1, 20)]
    state = ThreadState.new(writer.state.thread)
    sizes, calls = [], []
    real = ed25519.verify
    monkeypatch.setattr(ed25519, "verify", lambda *args: calls.append(1) or real(*args))
    for record in records:
        calls.clear()
        row = json.dumps(state.to_json())
        raw = json.loads(json.dumps(record.to_json()))
        state = advance(ThreadState.from_json(json.loads(row)), read_record(raw), town.register, lambda _seq: None)
        if record.header.seq > 2:
            assert len(calls) == 1
            sizes.append(len(json.dumps(state.to_json())))
    assert state == verify_thread(state.thread, [record.to_json() for record in records], town.register).state
    assert ThreadState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert max(sizes) - min(sizes) <= 2
    assert max(sizes) < 1_000


def test_a_refused_record_leaves_the_state_as_it_was(town: Town) -> None:
    writer, records = begin_thread(town.people["alice"].device, town.parties, b"0", "medicine", 0)
    state = verify_thread(writer.state.thread, [it.to_json() for it in records], town.register).state
    forged = Writer(Device("alice", "alice_phone", bytes(32)), state, writer.secrets).message(b"forged", 1)
    with pytest.raises(Refused) as refused:
        advance(state, forged, town.register, lambda seq: author_of(records, seq))
    assert (refused.value.reason, refused.value.seq) == (Reason.SIGNATURE, 3)
    assert state.seq == 2


def test_carol_joins_bobs_team_reads_everything_and_leaves_with_nothing_newer() -> None:
    town = Town("alice", "bob", "carol")
    bob, carol = town.people["bob"], town.people["carol"]
    second, key2 = seal.change_team(town.team, town.team_key, bob, [town.member("bob"), town.member("carol")])
    third, key3 = seal.change_team(second, key2, bob, [town.member("bob")])
    joined = town.register.add_team(TEAM, [town.team.to_json(), second.to_json()])
    assert open_team(joined, "carol", [carol.key.seed]) == {1: town.team_key.seed, 2: key2.seed}
    left = town.register.add_team(TEAM, [town.team.to_json(), second.to_json(), third.to_json()])
    assert open_team(left, "carol", [carol.key.seed]) == {}
    assert open_team(left, "bob", [bob.key.seed])[3] == key3.seed


def test_alice_enrols_late_and_gets_the_history(town: Town) -> None:
    bob, alice = town.people["bob"], town.people["alice"]
    writer, records = begin_thread(bob.device, town.parties[1:], b"Your order is here.", "order", 1)
    records += [writer.epoch(town.parties, 2), writer.history(town.entry("alice"), 1, 1, 3)]
    whole = verify_thread(writer.state.thread, [it.to_json() for it in records], town.register)
    assert whole.refusal is None
    message = read_thread(whole.records, alice.keyring).messages[0]
    assert message.opened is not None
    assert message.opened.text == "Your order is here."


def test_alice_confirms_what_she_read(town: Town) -> None:
    writer, records = begin_thread(town.people["bob"].device, town.parties, b"hello", "other", 1)
    whole = verify_thread(writer.state.thread, [it.to_json() for it in records], town.register)
    reader = Writer(town.people["alice"].device, whole.state)
    receipt = reader.receipt(ReceiptKind.READ, Head(2, whole.state.head), 9)
    read = verify_receipt(receipt, "alice", place_in(whole), town.register)
    assert (read.seq, read.kind, read.ts) == (2, ReceiptKind.READ, 9)


def test_alice_gets_everything_back_with_her_code_or_her_passphrase(town: Town) -> None:
    alice, code = town.people["alice"], recovery.make_code()
    entry = town.entry("alice")
    ways = [
        (recovery.wrap_by_code(alice.urk, "alice", code), code.lower()),
        (recovery.wrap_by_passphrase(alice.urk, "alice", "five words make a sentence"), "five words make  a sentence"),
    ]
    boxes = [
        seal.seal_root_box(alice.urk, "alice", RootKind.UIK, 1, alice.identity.seeds, 0).to_json(),
        seal.seal_root_box(alice.urk, "alice", RootKind.PUK, 1, alice.key.seed, 0).to_json(),
    ]
    for wrap, typed in ways:
        urk = recovery.unwrap(recovery.read_wrap(json.loads(json.dumps(wrap.to_json()))), "alice", typed)
        identity = open_root_box(read_root_box(boxes[0], "alice", RootKind.UIK, 1), urk, entry)
        seed = open_root_box(read_root_box(boxes[1], "alice", RootKind.PUK, 1), urk, entry)
        assert Identity.from_seeds(identity) == alice.identity
        assert EncryptionKey(1, seed) == alice.key


def test_a_short_passphrase_is_not_taken(town: Town) -> None:
    with pytest.raises(Refused) as refused:
        recovery.wrap_by_passphrase(bytes(32), "alice", "too short")
    assert refused.value.reason is Reason.PARAMETERS


def test_a_reset_is_told_but_not_refused(town: Town) -> None:
    alice = town.people["alice"]
    first = seal.first_entry(alice)
    again = seal.reset_entry(first.entry, Identity.new(), EncryptionKey.new(2))
    chain = verify_chain([first.to_json(), again.to_json()], pin_of(first.entry))
    assert resets_since(chain, pin_of(first.entry)) == [2]
    assert resets_since(chain, pin_of(again.entry)) == []
    with pytest.raises(Refused):
        verify_chain([first.to_json()], Pin("alice", 2, bytes(32)))


def test_a_draft_and_a_mail_and_a_file_come_back(town: Town) -> None:
    alice = town.people["alice"]
    draft = seal.seal_object("alice", alice.key, alice.device, b"half", kind="draft", id="d1", rev=1, ts=0)
    sealed = verify_object(draft.to_json(), ObjectName("alice", "draft", "d1"), None, 1, town.register)
    assert open_object(sealed, alice.key.seed) == b"half"
    mail = seal_inbound(town.team.entry, b"Are you open?", Via.MAIL)
    item = read_inbound(mail.to_json(), TEAM, mail.id, [town.team.entry])
    assert open_inbound(item, town.team_key.seed) == b"Are you open?"
    file = seal_file("0" * 32, "a1", b"a page")
    facts = FileFacts("0" * 32, "a1", file.cth, file.key, file.size, file.hash)
    assert open_file(file.stored, facts) == b"a page"


def test_the_self_test_passes_and_notices_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest.run() == tuple(selftest.TESTS)
    monkeypatch.setattr(selftest, "TESTS", {**selftest.TESTS, "ML-DSA-65": lambda: False})
    with pytest.raises(selftest.SelfTestFailed, match="ML-DSA-65"):
        selftest.run()


def test_the_committed_vectors_are_what_the_generator_makes() -> None:
    for kind in generator.FILES:
        assert (VECTORS / "rxe2ee" / f"{kind}.json").read_text() == generator.make(kind), kind
