"""Appending to a thread: the checks of docs/protocol.md section 6, then one transaction for everything that follows.

Message, audit row, outbox row and inbox rows are written together or not at all (design decision 6).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.accounts import policy, relations
from portal.accounts.actor import Actor
from portal.accounts.roles import Kind
from portal.accounts.tables import Patient
from portal.audit import Action, Entity
from portal.core import clock, faults, ids
from portal.core.database import table_of
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, Unprocessable
from portal.core.together import Answers, Questions, Together, Writing
from portal.e2ee import padding
from portal.e2ee.encoding import b64
from portal.e2ee.reasons import Refused
from portal.e2ee.records import AnyRecord, EpochHeader, HistoryHeader, MessageHeader, RedactHeader, Role, read_record
from portal.e2ee.verify import ThreadState, advance
from portal.pharmacies import care, keys, profiles, standing, teams
from portal.pharmacies.keys import ServerDirectory
from portal.pharmacies.topics import Topic, split_team_id, team_of
from portal.threads import access, attachments, notices, on_record, reading, rekey, tell
from portal.threads.tables import AcceptedKey, Record, Thread, ThreadRow

# One request carries at most an epoch, histories for those who join, and one message.
MOST_RECORDS = 12
LARGEST_CIPHERTEXT = 256 * 1024
CIPHERTEXT_OVERHEAD = 32 + 16

_RECORDS = table_of(Record)
_ACCEPTED = table_of(AcceptedKey)
_THREADS = table_of(Thread)
_STORE = insert(_RECORDS)
_ACCEPT = insert(_ACCEPTED)
# What an append may change of a thread.
_MOVING = (
    *("urgent_at", "head_seq", "head", "last_message_seq", "messages"),
    *("epoch", "members", "state", "waits_for_keys"),
)
_MOVE = (
    update(_THREADS)
    .where(_THREADS.c.id == bindparam("thread"))
    .values({name: bindparam(f"new_{name}") for name in _MOVING})
)
_KNOWN_KEY = select(_ACCEPTED.c.digest, _ACCEPTED.c.seq, _ACCEPTED.c.accepted_at).where(
    *(_ACCEPTED.c[name] == bindparam(name) for name in ("pharmacy_id", "account_id", "thread_id", "key"))
)
# All that a send asks once it holds the thread, in one trip. Each part stands where what it is for stands.
_ASKED = Questions(**standing.QUESTIONS, **keys.QUESTIONS, **rekey.QUESTIONS, accepted=_KNOWN_KEY)


@dataclass(frozen=True)
class Posted:
    """An accepted append. `told` is None for a repetition, which changes nothing and tells nobody."""

    thread_id: str
    sequence: int
    received_at: datetime
    told: tell.Told | None


@dataclass(frozen=True)
class Request:
    """What somebody asks to append: the records as they came, the key that names the request, whether it is urgent."""

    sealed: Sequence[Mapping[str, Any]]
    key: str
    urgent: bool

    @cached_property
    def digest(self) -> bytes:
        """What makes two requests the same: the signed header and signature of every record."""
        if not all(isinstance(raw.get("h"), str) and isinstance(raw.get("sig"), str) for raw in self.sealed):
            raise BadInput("form", extra={"field": "records"})
        return hashlib.sha256("\n".join(f"{raw['h']}.{raw['sig']}" for raw in self.sealed).encode()).digest()


@dataclass(frozen=True)
class Birth:
    """What a new thread is, beside its first records."""

    thread_id: str
    pharmacy_id: str
    patient_id: str
    topic: Topic


def start_thread(
    session: Session, *, actor: Actor, birth: Birth, sealed: Sequence[Mapping[str, Any]], key: str, urgent: bool
) -> Posted:
    """Begin a thread with epoch 1 and message 2, in one transaction.

    A patient's first thread with a pharmacy begins the care relation. Raises what `append` raises, and Conflict
    `thread-exists` for an id that is taken.
    """
    if not ids.is_id(birth.thread_id):
        raise BadInput("form", extra={"field": "thread"})
    request = Request(sealed, key, urgent)
    digest = request.digest
    known = {
        "pharmacy_id": birth.pharmacy_id,
        "account_id": actor.account_id,
        "thread_id": birth.thread_id,
        "key": key,
    }
    if repeated := _repeated(birth.thread_id, key, digest, session.execute(_KNOWN_KEY, known).all()):
        return repeated
    in_care = care.in_care(session, pharmacy_id=birth.pharmacy_id, patient_id=birth.patient_id)
    team = team_of(birth.pharmacy_id, birth.topic)
    policy.allow_start_thread(
        actor,
        patient_id=birth.patient_id,
        pharmacy_id=birth.pharmacy_id,
        in_care=in_care,
        in_team=team in teams.teams_of(session, actor.account_id),
        patient_active=_patient_active(session, birth.patient_id),
    )
    if session.get(Thread, birth.thread_id) is not None:
        raise Conflict("thread-exists")
    if not teams.members(session, team):
        raise Unprocessable("pharmacy-not-open")
    if not actor.staff and not profiles.takes(session, birth.pharmacy_id, birth.topic):
        raise Unprocessable("topic-not-offered")
    if not in_care and profiles.get(session, birth.pharmacy_id).week is None:
        # Not offered (portal.pharmacies.checklist): nobody could say when somebody reads it.
        raise Unprocessable("pharmacy-not-open")
    if not in_care:
        care.choose(session, actor=actor, pharmacy_id=birth.pharmacy_id, patient_id=birth.patient_id)
    moment = clock.now()
    thread = ThreadRow(
        id=birth.thread_id,
        pharmacy_id=birth.pharmacy_id,
        patient_id=birth.patient_id,
        topic=birth.topic.value,
        created_by=actor.account_id,
        created_at=moment,
        urgent_at=moment if urgent else None,
        head_seq=0,
        head="",
        last_message_seq=0,
        messages=0,
        epoch=0,
        members=[],
        state=ThreadState.new(birth.thread_id).to_json(),
        waits_for_keys=False,
    )
    try:
        session.execute(insert(_THREADS), asdict(thread))
    except IntegrityError as taken:
        raise Conflict("thread-exists") from taken
    on_record.note(
        session, actor=actor, thread=thread, action=Action.THREAD_CREATED, entity=Entity("Thread", birth.thread_id)
    )
    posted = _append(session, actor, thread, request)
    first = read_record(sealed[-1]).header
    if not isinstance(first, MessageHeader) or first.label is None or first.label.topic != birth.topic.value:
        raise Unprocessable("label")
    return posted


def append(
    session: Session, *, actor: Actor, thread_id: str, sealed: Sequence[Mapping[str, Any]], key: str, urgent: bool
) -> Posted:
    """Append records to a thread: `[epoch?, history…, message or redact?]`, verified one by one.

    The same key with the same bytes gives the first answer again. A pharmacy whose care has ended reads nothing, so
    writing to it from the patient's side begins its care again, as a first thread does.

    Raises Conflict `already-accepted`, `moved-head` (with the head), `rekey` or `reset`; BadInput `form`; Unprocessable
    with the verifier's reason; NotFound.
    """
    request = Request(sealed, key, urgent)
    digest = request.digest
    found = access.locked(session, thread_id)
    faults.point("send.locked")
    answers = _ASKED.ask(session, _asked_of(actor, thread_id, found, key))
    faults.point("send.asked")
    allowed = access.judge(actor, found, standing.of(answers), to_write=True)
    thread = allowed.thread
    if repeated := _repeated(thread_id, key, digest, answers["accepted"]):
        return repeated
    if not allowed.in_care:
        care.choose(session, actor=actor, pharmacy_id=thread.pharmacy_id, patient_id=thread.patient_id)
    return _append(session, actor, thread, request, answers)


def _asked_of(actor: Actor, thread_id: str, thread: ThreadRow | None, key: str) -> dict[str, Any]:
    return {
        **access.asked_of(actor, thread),
        **rekey.asked_of(thread, thread.state["keys"].values() if thread is not None else ()),
        "thread_id": thread_id,
        "key": key,
        "dev": actor.device_id or "",
        "owner": actor.account_id,
    }


def _append(
    session: Session, actor: Actor, thread: ThreadRow, request: Request, answers: Answers | None = None
) -> Posted:
    """The checks and the changes; `answers` are those to `_ASKED`, None for a thread that is being born."""
    later = Together(session)
    parsed = _parse(request.sealed)
    directory = ServerDirectory(session)
    if answers is not None:
        directory.knows(answers, dev=actor.device_id, owner=actor.account_id)
    _check_sender(actor, thread, parsed, directory)
    _check_head(thread, parsed[0])
    state = ThreadState.from_json(thread.state)
    if answers is not None:
        rekey.demand(answers, actor=actor, thread=thread, state=state, has_epoch=parsed[0].kind == "epoch")
    try:
        for record in parsed:
            state = advance(state, record, directory, lambda seq: _author(session, thread.id, seq))
    except Refused as refused:
        raise Unprocessable(refused.reason.value.replace(" ", "-")) from refused
    faults.point("send.verified")
    moment = clock.now()
    for record, raw in zip(parsed, request.sealed, strict=True):
        header = record.header
        if isinstance(header, EpochHeader):
            _check_members(session, thread, header)
            before = thread.members
            _new_epoch(session, later, actor, thread, header)
            rekey.complete(session, actor=actor, thread=thread, before=before, state=state, maker=header.dev)
        elif isinstance(header, HistoryHeader):
            policy.allow_history(actor, patient_id=thread.patient_id)
            handed = {"to": header.to.id, "from": header.first, "upto": header.upto}
            _keys_changed(later, actor, thread, handed)
        if isinstance(header, MessageHeader):
            thread.messages += 1
        _store(later, actor, thread, record, raw, moment, request.urgent)
        if isinstance(header, MessageHeader):
            attachments.claim(session, actor=actor, thread=thread, seq=header.seq, named=header.att)
        elif isinstance(header, RedactHeader):
            _retract(session, thread, header)
    thread.head_seq = state.seq
    thread.head = b64(state.head)
    thread.state = state.to_json()
    last = parsed[-1]
    if last.kind == "msg":
        thread.last_message_seq = last.header.seq
        reading.wrote(later, account_id=actor.account_id, thread=thread)
        if request.urgent:
            thread.urgent_at = moment
    later.execute(_MOVE, {"thread": thread.id, **{f"new_{name}": getattr(thread, name) for name in _MOVING}})
    later.execute(
        _ACCEPT,
        {
            "pharmacy_id": thread.pharmacy_id,
            "account_id": actor.account_id,
            "thread_id": thread.id,
            "key": request.key,
            "digest": request.digest,
            "seq": last.header.seq,
            "accepted_at": moment,
        },
    )
    _audit_append(later, actor, thread, parsed)
    told = _tell(session, later, actor, thread, last, moment)
    later.write()
    faults.point("send.written")
    return Posted(thread.id, last.header.seq, moment, told)


def _retract(session: Session, thread: ThreadRow, header: RedactHeader) -> None:
    """Take the text of a retracted message away, unless a member of staff had read it before.

    Then the ciphertext stays, and staff may open it as "retracted, read before by …"; patients never get it again.
    """
    target = session.get_one(Record, (thread.id, header.target))
    target.retracted_by = header.seq
    if not notices.staff_has_read(session, thread=thread, seq=target.seq, author=target.account_id):
        target.ct = None
        attachments.remove_of_message(session, thread_id=thread.id, seq=target.seq)


def _parse(sealed: Sequence[Mapping[str, Any]]) -> list[AnyRecord]:
    if not 1 <= len(sealed) <= MOST_RECORDS:
        raise BadInput("form", extra={"field": "records"})
    try:
        parsed = [read_record(raw) for raw in sealed]
    except Refused as refused:
        raise BadInput("form", extra={"reason": refused.reason.value}) from refused
    kinds = [record.kind for record in parsed]
    order = {"epoch": 0, "history": 1, "msg": 2, "redact": 2}
    if [order[kind] for kind in kinds] != sorted(order[kind] for kind in kinds):
        raise BadInput("form", extra={"field": "records"})
    if kinds.count("epoch") > 1 or kinds.count("msg") + kinds.count("redact") > 1:
        raise BadInput("form", extra={"field": "records"})
    for record in parsed:
        if record.kind == "msg":
            if record.ct is None or len(record.ct) > LARGEST_CIPHERTEXT:
                raise BadInput("form", extra={"field": "ct"})
            if not padding.is_bucket(len(record.ct) - CIPHERTEXT_OVERHEAD):
                raise Unprocessable("padding")
        elif record.kind in ("epoch", "history") and record.wraps is None:
            raise BadInput("form", extra={"field": "w"})
    return parsed


def _check_sender(actor: Actor, thread: ThreadRow, parsed: Iterable[AnyRecord], directory: ServerDirectory) -> None:
    for record in parsed:
        header = record.header
        if header.thread != thread.id:
            raise Unprocessable("thread")
        if header.user != actor.account_id or header.dev != actor.device_id or not directory.active(header.dev):
            raise Forbidden("device-needed")


def _check_head(thread: ThreadRow, first: AnyRecord) -> None:
    if first.header.seq != thread.head_seq + 1 or (thread.head_seq > 0 and b64(first.header.prev) != thread.head):
        raise Conflict("moved-head", extra={"head": thread.head, "seq": thread.head_seq})


def _author(session: Session, thread_id: str, seq: int) -> str | None:
    record = session.get(Record, (thread_id, seq))
    return record.account_id if record is not None and record.kind == "msg" else None


def _check_members(session: Session, thread: ThreadRow, header: EpochHeader) -> None:
    """Members of an epoch are what policy allows: the pharmacy's own teams, the one that the topic names among them,
    and accounts that act for the patient. Those who were members and do not act any more are `rekey.complete`'s.
    """
    if team_of(thread.pharmacy_id, Topic(thread.topic)) not in {member.id for member in header.members}:
        raise Unprocessable("membership-policy")
    for member in header.members:
        split = split_team_id(member.id)
        if member.role is Role.TEAM and (split is None or split[0] != thread.pharmacy_id):
            raise Unprocessable("membership-policy")
    before = {(member["id"], member["role"]) for member in thread.members}
    people = [it for it in header.members if it.role is not Role.TEAM and (it.id, it.role.value) not in before]
    if not people:
        return
    kinds: dict[str, set[str]] = {}
    for account_id, kind in relations.accounts_of(session, [thread.patient_id])[thread.patient_id]:
        kinds.setdefault(account_id, set()).add(kind)
    for member in people:
        known = kinds.get(member.id, set())
        fits = Kind.SELF in known if member.role is Role.PATIENT else bool(known - {Kind.SELF})
        if member.role not in (Role.PATIENT, Role.PROXY) or not fits:
            raise Unprocessable("membership-policy")


def _new_epoch(session: Session, later: Writing, actor: Actor, thread: ThreadRow, header: EpochHeader) -> None:
    before = {member["id"] for member in thread.members}
    thread.members = [{"id": seat.id, "role": seat.role.value, "gen": seat.gen} for seat in header.members]
    thread.epoch = header.epoch
    now = {member["id"] for member in thread.members}
    thread.waits_for_keys = not any(member["role"] in ("patient", "proxy") for member in thread.members)
    for gone in before - now:
        notices.leave(session, thread=thread, reader_id=gone)
    if before:
        changed = {"added": sorted(now - before), "removed": sorted(before - now), "epoch": header.epoch}
        _keys_changed(later, actor, thread, changed)


def _keys_changed(later: Writing, actor: Actor, thread: ThreadRow, detail: Mapping[str, Any]) -> None:
    # A new epoch of the same members and keys of earlier epochs handed over both change who can read.
    on_record.note(
        later,
        actor=actor,
        thread=thread,
        action=Action.THREAD_MEMBERS_CHANGED,
        entity=Entity("Thread", thread.id),
        detail=detail,
    )


def _store(
    later: Writing,
    actor: Actor,
    thread: ThreadRow,
    record: AnyRecord,
    raw: Mapping[str, Any],
    moment: datetime,
    urgent: bool,
) -> None:
    later.execute(
        _STORE,
        {
            "pharmacy_id": thread.pharmacy_id,
            "thread_id": thread.id,
            "seq": record.header.seq,
            "kind": record.kind,
            "h": raw["h"],
            "sig": raw["sig"],
            "ct": record.ct if record.kind == "msg" else None,
            "cth": raw.get("cth") if record.kind == "msg" else None,
            "w": raw.get("w"),
            "wh": raw.get("wh"),
            "account_id": actor.account_id,
            "received_at": moment,
            "urgent": urgent and record.kind == "msg",
            "retracted_by": None,
            "messages": thread.messages,
        },
    )


def _audit_append(later: Writing, actor: Actor, thread: ThreadRow, parsed: Sequence[AnyRecord]) -> None:
    last = parsed[-1]
    words = {"msg": Action.MESSAGE_SENT, "redact": Action.MESSAGE_RETRACTED}
    if last.kind in words:
        on_record.note(
            later,
            actor=actor,
            thread=thread,
            action=words[last.kind],
            entity=Entity("Communication", f"{thread.id}.{last.header.seq}"),
        )


def _tell(
    session: Session, later: Writing, actor: Actor, thread: ThreadRow, last: AnyRecord, moment: datetime
) -> tell.Told:
    """Inbox rows for all readers, and the delayed notice for those who are to be told by mail."""
    from_pharmacy = actor.staff
    lines = [
        tell.Line(member["id"], awaiting=last.kind == "msg" and (member["role"] == "team") != from_pharmacy)
        for member in thread.members
        if not member.get("ended")
    ]
    if thread.waits_for_keys:
        lines += [tell.Line(account, awaiting=True) for account in notices.accounts_of(session, thread.patient_id)]
    if last.kind == "msg":
        notices.message_came(session, later, thread=thread, author=actor.account_id, from_pharmacy=from_pharmacy)
    return tell.write_inbox(
        session,
        later,
        pharmacy_id=thread.pharmacy_id,
        thread_id=thread.id,
        sequence=last.header.seq,
        at=moment,
        urgent=thread.urgent_at is not None,
        lines=lines,
        keep_place=last.kind != "msg",
    )


def _repeated(thread_id: str, key: str, digest: bytes, accepted: Sequence[Sequence[Any]]) -> Posted | None:
    """The first answer again, if the key was accepted with the same bytes; `accepted` answers `_KNOWN_KEY`."""
    if not ids.is_id(key):
        raise BadInput("idempotency-key")
    for before, sequence, accepted_at in accepted:
        if before != digest:
            raise Conflict("already-accepted", extra={"seq": sequence})
        return Posted(thread_id, sequence, accepted_at, None)
    return None


def _patient_active(session: Session, patient_id: str) -> bool:
    patient = session.get(Patient, patient_id)
    if patient is None:
        raise NotFound()
    return patient.status == "active"
