"""Threads over JSON: the inbox, a thread's records, sending, receipts."""

from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request

from portal.core import faults
from portal.core.errors import BadInput
from portal.pharmacies.topics import Topic
from portal.threads import answered, inbox, posting, reading, receipts
from portal.web.acting import current_actor
from portal.web.json import RECORDS_LIMIT, query_int, stamp, takes
from portal.web.limits import SEND_PER_ACCOUNT, at_most
from portal.web.wiring import services

blueprint = Blueprint("threads", __name__, url_prefix="/api/threads")


@dataclass(frozen=True)
class NewThread:
    """A thread to be born: epoch 1 and message 2 together."""

    pharmacy: str
    patient: str
    topic: str
    thread: str
    records: list[dict[str, Any]]
    urgent: bool = False


@dataclass(frozen=True)
class NewRecords:
    """Records to append, the message or retraction last."""

    records: list[dict[str, Any]]
    urgent: bool = False


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt as signed by the device."""

    h: str
    sig: str


@dataclass(frozen=True)
class Answered:
    """Whether a thread needs no answer, by who has seen it up to `sequence`."""

    sequence: int
    answered: bool


@blueprint.get("")
def list_threads() -> Response:
    """The newest threads of one's inboxes, page by page."""
    with services().database.transaction() as session:
        actor = current_actor(session)
        page = inbox.page(
            session,
            actor=actor,
            reader=request.args.get("reader"),
            pharmacy_id=request.args.get("pharmacy"),
            after=request.args.get("after"),
            limit=query_int("limit", default=inbox.PAGE, least=1, most=inbox.MOST) or inbox.PAGE,
            awaiting_only=request.args.get("awaiting") == "1",
            patient_id=request.args.get("patient"),
        )
        cursor = inbox.since_now(session, inbox.my_readers(session, actor=actor))
        waiting = inbox.awaiting_count(session, actor=actor)
    return jsonify(items=[_head(h) for h in page.items], next=page.next, awaiting=waiting, cursor=cursor_text(cursor))


@blueprint.get("/changes")
def changes() -> Response:
    """The inbox lines that changed since a cursor of the event stream."""
    since = parse_cursor(request.args.get("since", ""))
    with services().database.transaction() as session:
        found = inbox.changes(session, actor=current_actor(session), since=since)
    return jsonify(items=[_head(h) for h in found.items], cursor=cursor_text(found.cursor), more=found.more)


@blueprint.get("/closed")
def closed() -> Response:
    """The teams one could sit in and does not, and how many threads wait there."""
    with services().database.reading() as session:
        found = inbox.closed_to(session, actor=current_actor(session))
    return jsonify(items=[asdict(one) for one in found], next=None)


@blueprint.post("")
@at_most(SEND_PER_ACCOUNT)
@takes(NewThread, limit=RECORDS_LIMIT)
def start(new: NewThread) -> tuple[Response, int]:
    """Begin a thread. The Idempotency-Key is the id of the message's body."""
    if new.topic not in set(Topic):
        raise BadInput("bad-field", extra={"field": "topic"})
    birth = posting.Birth(new.thread, new.pharmacy, new.patient, Topic(new.topic))
    with services().database.transaction() as session:
        posted = posting.start_thread(
            session, actor=current_actor(session), birth=birth, sealed=new.records, key=_key(), urgent=new.urgent
        )
    return _posted(posted)


@blueprint.get("/<thread_id>")
def open_thread(thread_id: str) -> Response:
    """A thread with its epochs, members and receipts."""
    with services().database.transaction() as session:
        opened = reading.open_for_reading(session, actor=current_actor(session), thread_id=thread_id)
    return jsonify(_opened(opened))


@blueprint.get("/<thread_id>/records")
def list_records(thread_id: str) -> Response:
    """A page of records: the newest, those before a sequence, or those after one."""
    before, after = query_int("before", least=1), query_int("after")
    limit = query_int("limit", default=reading.PAGE, least=1, most=reading.MOST) or reading.PAGE
    with services().database.transaction() as session:
        page = reading.page(
            session, actor=current_actor(session), thread_id=thread_id, before=before, after=after, limit=limit
        )
    return jsonify(items=[_entry(entry) for entry in page.items], next=page.next)


@blueprint.post("/<thread_id>/messages")
@at_most(SEND_PER_ACCOUNT)
@takes(NewRecords, limit=RECORDS_LIMIT)
def send(new: NewRecords, thread_id: str) -> tuple[Response, int]:
    """Append a message or a retraction, with a new epoch before it where one is due."""
    faults.point("send.received")
    with services().database.transaction() as session:
        posted = posting.append(
            session,
            actor=current_actor(session),
            thread_id=thread_id,
            sealed=new.records,
            key=_key(),
            urgent=new.urgent,
        )
    return _posted(posted)


@blueprint.post("/<thread_id>/receipts")
@takes(SignedReceipt)
def receipt(new: SignedReceipt, thread_id: str) -> tuple[str, int]:
    """Say that a message was delivered, read, or cannot be read."""
    with services().database.transaction() as session:
        told = receipts.post_receipt(
            session, actor=current_actor(session), thread_id=thread_id, raw={"h": new.h, "sig": new.sig}
        )
    told.publish(services().bus)
    return "", 204


@blueprint.post("/<thread_id>/answered")
@takes(Answered)
def set_answered(new: Answered, thread_id: str) -> tuple[str, int]:
    """Say that a thread needs no answer, or that it does after all."""
    with services().database.transaction() as session:
        told = answered.set_answered(
            session,
            actor=current_actor(session),
            thread_id=thread_id,
            sequence=new.sequence,
            answered=new.answered,
        )
    told.publish(services().bus)
    return "", 204


def cursor_text(cursor: dict[str, int]) -> str:
    """A stream cursor as text: `reader:number,…`."""
    return ",".join(f"{reader}:{number}" for reader, number in sorted(cursor.items()))


def parse_cursor(text: str) -> dict[str, int]:
    """The cursor in `text`; empty for none. Raises BadInput for anything malformed."""
    cursor: dict[str, int] = {}
    for part in text.split(",") if text else ():
        reader, _, number = part.rpartition(":")
        if not reader or len(reader) > 64 or not number.isascii() or not number.isdigit() or len(number) > 15:
            raise BadInput("bad-field", extra={"field": "since"})
        cursor[reader] = int(number)
    if len(cursor) > 64:
        raise BadInput("bad-field", extra={"field": "since"})
    return cursor


def _key() -> str:
    return request.headers.get("Idempotency-Key", "")


def _posted(posted: posting.Posted) -> tuple[Response, int]:
    faults.point("send.committed")
    if posted.told is not None:
        posted.told.publish(services().bus)
    faults.point("send.published")
    answer = jsonify(thread=posted.thread_id, sequence=posted.sequence, received_at=stamp(posted.received_at))
    return answer, 201


def _head(head: inbox.Head) -> dict[str, Any]:
    thread = head.thread
    return {
        "thread": thread.id,
        "pharmacy": thread.pharmacy_id,
        "patient": thread.patient_id,
        "patient_name": head.patient_name,
        "topic": thread.topic,
        "urgent": thread.urgent_at is not None,
        "created_at": stamp(thread.created_at),
        "last_at": stamp(head.row.last_at),
        "seq": thread.head_seq,
        "epoch": thread.epoch,
        "awaiting": head.row.awaiting,
        "unread": head.unread,
        "waits_for_keys": thread.waits_for_keys,
        "reader": head.row.reader_id,
        "first": list(head.first),
        "last": head.last,
        "epochs": list(head.epochs),
        "joinable": head.joinable,
    }


def _opened(opened: reading.Opened) -> dict[str, Any]:
    thread = opened.thread
    return {
        "thread": thread.id,
        "pharmacy": thread.pharmacy_id,
        "patient": thread.patient_id,
        "topic": thread.topic,
        "urgent": thread.urgent_at is not None,
        "created_at": stamp(thread.created_at),
        "seq": thread.head_seq,
        "head": thread.head,
        "epoch": thread.epoch,
        "waits_for_keys": thread.waits_for_keys,
        "patient_active": opened.patient_active,
        "members": thread.members,
        "voices": sorted(opened.voices),
        "epochs": [{"seq": seq, "record": record} for seq, record in opened.epochs],
        "receipts": [
            {"account": receipt.account_id, "kind": receipt.kind, "h": receipt.h, "sig": receipt.sig}
            for receipt in opened.receipts
        ],
        "joinable": [{"id": account, "role": role} for account, role in opened.joinable],
        "carers": list(opened.carers),
    }


def _entry(entry: reading.Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "received_at": stamp(entry.received_at),
        "urgent": entry.urgent,
        "retracted_by": entry.retracted_by,
        "record": entry.record,
    }
