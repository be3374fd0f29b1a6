"""A member of threads written in Python: for services beside an EHR, for the demo, for tests.

It does what a browser does: makes and recovers keys, verifies everything, seals and opens. Where it runs there are
private keys, so it belongs on a machine as well kept as a pharmacist's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.connector import keys
from portal.connector.client import PortalClient, ServerRefused
from portal.connector.directory import MemberDirectory
from portal.connector.messages import Correction, Line, Message, UploadedFile, file_facts, lines
from portal.connector.objects import Objects
from portal.connector.teams import Teams
from portal.core import clock, ids
from portal.e2ee import seal
from portal.e2ee.attachments import open_file, seal_file
from portal.e2ee.directory import Pin
from portal.e2ee.encoding import b64
from portal.e2ee.identity import Device, Person
from portal.e2ee.open import read_thread
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import AnyRecord, EpochHeader, MessageHeader, ReceiptKind, Role, read_record
from portal.e2ee.recovery import Argon2Cost, Method, make_code, read_wrap, unwrap, wrap_by_code, wrap_by_passphrase
from portal.e2ee.seal import Party, Writer
from portal.e2ee.verify import Head, ThreadState, advance, author_of, verify_thread, voices

PAGE = 200
PART_BYTES = 1024 * 1024
# How often a message is sealed anew because others were faster.
MOST_TRIES = 8


@dataclass
class Memory:
    """What a member keeps between two runs, beside its keys: pins of chains, and how far each thread has come."""

    pins: dict[str, Pin] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)


@dataclass
class OpenThread:
    """A thread that was fetched, verified from its genesis and opened."""

    id: str
    pharmacy: str
    patient: str
    records: list[AnyRecord]
    state: ThreadState
    secrets: dict[int, bytes]

    def record(self, seq: int) -> AnyRecord:
        """The record at a sequence number."""
        return self.records[seq - 1]


@dataclass(frozen=True)
class Sent:
    """Where a message came to lie."""

    thread: str
    sequence: int


class Member:
    """One person on one device, signed in at one portal; with `teams` and `objects` of its own.

    Raises Refused for what does not verify, ServerRefused.
    """

    def __init__(self, client: PortalClient, person: Person, memory: Memory | None = None) -> None:
        self.client = client
        self.person = person
        self.memory = memory or Memory()
        self.directory = MemberDirectory(client, self.memory.pins)
        self.teams = Teams(client, person, self.directory)
        self.objects = Objects(client, person, self.directory)
        self._threads: dict[str, OpenThread] = {}

    # Keys.

    @classmethod
    def enrol(
        cls,
        client: PortalClient,
        *,
        passphrase: str,
        device_name: str,
        cost: Argon2Cost | None = None,
    ) -> "Member":
        """First keys of the person signed in, and the passphrase as way back."""
        person = Person.new(client.account_id, ids.random_id())
        client.post(
            "/api/keys/enrol",
            {
                "entry": seal.first_entry(person).to_json(),
                "certificate": seal.certificate(person.identity, person.device, clock.now_ms()),
                "vault": keys.first_vault(person),
                "device_name": device_name,
            },
        )
        client.forget_session()
        wrap = wrap_by_passphrase(person.urk, person.id, passphrase, cost).to_json()
        client.put("/api/keys/recovery/passphrase", {"wrap": wrap})
        return cls(client, person)

    def set_code(self) -> str:
        """A recovery code as another way back; asks for a fresh login. Returns it: nobody else ever has it."""
        code = make_code()
        self.client.put(
            "/api/keys/recovery/code", {"wrap": wrap_by_code(self.person.urk, self.person.id, code).to_json()}
        )
        return code

    @classmethod
    def recover(
        cls, client: PortalClient, *, secret: str, device_name: str, method: Method = Method.PASSPHRASE
    ) -> "Member":
        """A new device of somebody who has keys, by passphrase or code, within five minutes of a login.

        Raises Refused(aead) for a wrong one, Refused(object) when that way is not set.
        """
        account = client.account_id
        wraps = [read_wrap(wrap) for wrap in client.get("/api/keys/recovery")["wraps"]]
        wrap = next((wrap for wrap in wraps if wrap.method is method), None)
        if wrap is None:
            raise Refused(Reason.OBJECT)
        urk = unwrap(wrap, account, secret)
        person = keys.restored(account, urk, client.get("/api/keys/me"), Device.new(account, ids.random_id()))
        certificate = seal.certificate(person.identity, person.device, clock.now_ms())
        client.post("/api/keys/devices", {"certificate": certificate, "name": device_name})
        client.forget_session()
        return cls(client, person)

    @classmethod
    def resume(cls, client: PortalClient, urk: bytes, device: Device, memory: Memory | None = None) -> "Member":
        """Go on as a device that was certified before."""
        keys.bind(client, device)
        return cls(client, keys.restored(device.user, urk, client.get("/api/keys/me"), device), memory)

    def bind(self) -> None:
        """Bind a new session of the client to this member's device."""
        keys.bind(self.client, self.person.device)

    def keyring(self) -> dict[tuple[str, int], bytes]:
        """All encryption seeds this member holds: the own ones, and those of its teams."""
        return {**self.person.keyring, **self.teams.seeds}

    # Writing.

    def start_thread(
        self,
        message: Message,
        *,
        pharmacy: str,
        patient: str,
        topic: str,
        team: str,
        people: Mapping[str, Role],
        urgent: bool = False,
        thread: str | None = None,
    ) -> OpenThread:
        """Begin a thread between a team and `people` (accounts on the patient's side, by role; none: keys are awaited).

        `thread` is its id where files were uploaded for it before.
        """
        writer = Writer(self.person.device, ThreadState.new(thread or ids.random_id()))
        parties = [Party(self.directory.newest(id), role) for id, role in people.items()]
        parties.append(Party(self.directory.newest(team), Role.TEAM))
        moment = clock.now_ms()
        made = [
            writer.epoch(parties, moment),
            writer.message(message.body(), moment, topic=topic, attachments=message.in_header()),
        ]
        body = {
            "pharmacy": pharmacy,
            "patient": patient,
            "topic": topic,
            "thread": writer.state.thread,
            "urgent": urgent,
            "records": [record.to_json() for record in made],
        }
        self.client.post("/api/threads", body, key=message.id)
        began = OpenThread(writer.state.thread, pharmacy, patient, made, writer.state, writer.secrets)
        return self._keep(began)

    def send(self, thread: OpenThread, message: Message | Correction, *, urgent: bool = False) -> Sent:
        """Append a message, with a new epoch before it where one is due. Sent again it arrives once."""
        return self._append(thread, message.id, lambda writer: self._sealed(writer, message), urgent=urgent)

    def retract(self, thread: OpenThread, seq: int, reason: str) -> Sent:
        """Take an own message back."""
        return self._append(thread, ids.random_id(), lambda writer: writer.redact(seq, reason, clock.now_ms()))

    def welcome(self, thread: OpenThread, account: str, role: Role, message: Message) -> Sent:
        """Add somebody to a thread with all that was written before, and say so."""

        def make(writer: Writer) -> list[AnyRecord]:
            entry = self.directory.newest(account)
            before = writer.state.epoch
            parties = [*self._parties(thread), Party(entry, role)]
            return [
                writer.epoch(parties, clock.now_ms()),
                writer.history(entry, 1, before, clock.now_ms()),
                self._sealed(writer, message),
            ]

        return self._append(thread, message.id, make)

    def upload(self, thread: str, pharmacy: str, *, name: str, type: str, content: bytes) -> UploadedFile:
        """Seal a file and lay it up for a message of `thread`, which may not have begun yet."""
        sealed = seal_file(thread, ids.random_id(), content)
        new = {
            "id": sealed.id,
            "thread": thread,
            "pharmacy": pharmacy,
            "size": len(sealed.stored),
            "cth": b64(sealed.cth),
        }
        start = int(self.client.post("/api/attachments", new)["received"])
        while start < len(sealed.stored):
            part = sealed.stored[start : start + PART_BYTES]
            start = int(self.client.put_bytes(f"/api/attachments/{sealed.id}", part, start=start)["received"])
        self.client.post(f"/api/attachments/{sealed.id}/complete")
        return UploadedFile(sealed, name, type)

    def _sealed(self, writer: Writer, message: Message | Correction) -> AnyRecord:
        return writer.message(message.body(), clock.now_ms(), attachments=message.in_header())

    def _append(
        self,
        thread: OpenThread,
        key: str,
        make: Callable[[Writer], AnyRecord | list[AnyRecord]],
        *,
        urgent: bool = False,
    ) -> Sent:
        revoked: list[str] | None = None
        ended: list[str] = []
        for _ in range(MOST_TRIES):
            writer = Writer(self.person.device, thread.state, dict(thread.secrets))
            made: list[AnyRecord] = []
            if revoked is not None:
                made.append(writer.epoch(self._parties(thread, ended), clock.now_ms(), revoked))
            sealed = make(writer)
            made += sealed if isinstance(sealed, list) else [sealed]
            body = {"records": [record.to_json() for record in made], "urgent": urgent}
            try:
                answer = self.client.post(f"/api/threads/{thread.id}/messages", body, key=key)
            except ServerRefused as problem:
                if problem.code == "moved-head":
                    self.catch_up(thread)
                elif problem.code == "rekey":
                    revoked = [str(dev) for dev in _list(problem.extra.get("revoked"))]
                    ended = [str(id) for id in _list(problem.extra.get("ended"))]
                elif problem.code == "already-accepted":
                    self.catch_up(thread)
                    return Sent(thread.id, int(str(problem.extra["seq"])))
                else:
                    raise
                continue
            if answer["sequence"] == writer.state.seq:
                thread.records += made
                thread.state, thread.secrets = writer.state, writer.secrets
                self._keep(thread)
            else:
                self.catch_up(thread)
            return Sent(thread.id, int(answer["sequence"]))
        raise ServerRefused(409, "moved-head", {})

    def _parties(self, thread: OpenThread, ended: Sequence[str] = ()) -> list[Party]:
        """The same members, but for those who may not read any more: left out where that is ours, else shut out."""
        own = voices(self.person.id, self.person.device.dev, thread.state.members, self.directory)
        leaves_out = any(seat.role in (Role.TEAM, Role.PATIENT) for seat in own)
        parties = []
        for seat in thread.state.members:
            if seat.id not in ended:
                parties.append(Party(self.directory.newest(seat.id), seat.role))
            elif seat.role is not Role.PROXY or not leaves_out:
                entry = self.directory.user(seat.id, seat.gen)
                if entry is None:
                    raise Refused(Reason.MEMBER_KEY)
                parties.append(Party(entry, seat.role, shut=True))
        return parties

    # Reading.

    def inbox(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """The newest threads of the member's inboxes, as the portal lists them (`Head` of docs/architecture.md)."""
        return list(self.client.get("/api/threads", limit=limit)["items"])

    def thread(self, thread_id: str) -> OpenThread:
        """A thread, fetched and verified from its genesis, or brought up to now. Raises Refused if it does not hold."""
        if thread_id in self._threads:
            self.catch_up(self._threads[thread_id])
            return self._threads[thread_id]
        info = self.client.get(f"/api/threads/{thread_id}")
        raws = self._records_after(thread_id, 0)
        self._know(raws)
        verified = verify_thread(thread_id, raws, self.directory, self.memory.heads.get(thread_id))
        if verified.refusal is not None:
            raise verified.refusal
        records = list(verified.records)
        opened = read_thread(records, self._keys_for(records))
        return self._keep(
            OpenThread(thread_id, info["pharmacy"], info["patient"], records, verified.state, opened.secrets)
        )

    def catch_up(self, thread: OpenThread) -> None:
        """Fetch, verify and open what came since."""
        raws = self._records_after(thread.id, thread.state.seq)
        self._know(raws)
        for raw in raws:
            record = read_record(raw)
            thread.state = advance(thread.state, record, self.directory, lambda seq: author_of(thread.records, seq))
            thread.records.append(record)
        if any(isinstance(read_record(raw).header, EpochHeader) for raw in raws):
            thread.secrets = read_thread(thread.records, self._keys_for(thread.records)).secrets
        self._keep(thread)

    def read(self, thread: OpenThread) -> list[Line]:
        """The messages of a thread."""
        return lines(read_thread(thread.records, self._keys_for(thread.records)))

    def confirm(self, thread: OpenThread, kind: ReceiptKind = ReceiptKind.READ, seq: int | None = None) -> None:
        """Say how far one has got: to the end, or up to `seq`."""
        at = seq or thread.state.seq
        writer = Writer(self.person.device, thread.state)
        receipt = writer.receipt(kind, Head(at, thread.record(at).head), clock.now_ms())
        self.client.post(f"/api/threads/{thread.id}/receipts", receipt)

    def fetch_file(self, thread: OpenThread, line: Line, index: int = 0) -> bytes:
        """The content of a file of a message. Raises Refused(attachment)."""
        header = thread.record(line.seq).header
        file = line.files[index]
        named = [one for one in header.att if one.id == file.get("id")] if isinstance(header, MessageHeader) else []
        if not named:
            raise Refused(Reason.ATTACHMENT)
        stored = b""
        while len(stored) < named[0].size:
            part = self.client.get_bytes(f"/api/attachments/{named[0].id}", len(stored))
            if not part:
                raise Refused(Reason.ATTACHMENT)
            stored += part
        return open_file(stored, file_facts(thread.id, file, named[0].cth))

    def _records_after(self, thread_id: str, seq: int) -> list[dict[str, Any]]:
        raws: list[dict[str, Any]] = []
        after: int | None = seq
        while after is not None:
            page = self.client.get(f"/api/threads/{thread_id}/records", after=after, limit=PAGE)
            raws += [item["record"] for item in page["items"]]
            after = page["next"]
        return raws

    def _know(self, raws: Sequence[Mapping[str, Any]]) -> None:
        """Load whoever wrote these records or is named in them; what is known already only where it is newer."""
        headers = [read_record(raw).header for raw in raws]
        self.directory.load([header.user for header in headers])
        unknown = {header.user for header in headers if self.directory.device(header.dev) is None}
        for header in headers:
            if isinstance(header, EpochHeader):
                self.directory.load(seat.id for seat in header.members)
                unknown |= {seat.id for seat in header.members if self.directory.user(seat.id, seat.gen) is None}
                unknown |= {header.user for dev in header.revoked if self.directory.device(dev) is None}
        if unknown:
            self.directory.load(sorted(unknown), fresh=True)

    def _keys_for(self, records: Sequence[AnyRecord]) -> dict[tuple[str, int], bytes]:
        seats = {
            (seat.id, seat.gen)
            for record in records
            if isinstance(record.header, EpochHeader)
            for seat in record.header.members
            if seat.role is Role.TEAM
        }
        if not seats <= self.teams.seeds.keys():
            self.teams.open()
        return self.keyring()

    def _keep(self, thread: OpenThread) -> OpenThread:
        self._threads[thread.id] = thread
        self.memory.heads[thread.id] = Head(thread.state.seq, thread.state.head)
        return thread


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
