"""Signed receipts (delivered, read, unreadable; docs/protocol.md section 4) and the positions that follow from them."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from portal import notify
from portal.accounts.actor import Actor
from portal.audit import Action, Entity
from portal.core import clock
from portal.core.database import InEachDialect, table_of
from portal.core.errors import BadInput, Conflict, Forbidden, Unprocessable
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import EpochHeader, read_receipt, read_record
from portal.e2ee.records import Receipt as SignedReceipt
from portal.e2ee.verify import Place, ThreadState, verify_receipt
from portal.pharmacies.keys import ServerDirectory
from portal.threads import on_record, tell
from portal.threads.access import open_thread
from portal.threads.inbox import transported
from portal.threads.tables import InboxRow, ReadPosition, Receipt, Record, ThreadRow

_RECEIPTS = table_of(Receipt)
_POSITIONS = table_of(ReadPosition)


def _newest(insert: Callable[[Table], Any]) -> Any:
    row = insert(_RECEIPTS)
    kept = {name: row.excluded[name] for name in ("pharmacy_id", "seq", "epoch", "h", "sig", "received_at")}
    return row.on_conflict_do_update(
        index_elements=["thread_id", "account_id", "kind"], set_=kept, where=row.excluded.seq >= _RECEIPTS.c.seq
    ).returning(_RECEIPTS.c.seq)


# Two tabs may tell at the same moment: whichever comes second, the newer receipt stays.
_KEEP = InEachDialect(_newest)
_BEGIN = InEachDialect(lambda insert: insert(_POSITIONS).on_conflict_do_nothing())


def post_receipt(session: Session, *, actor: Actor, thread_id: str, raw: Mapping[str, Any]) -> tell.Told:
    """Keep the newest receipt of a person and kind. Going back is refused with Conflict `receipt-older`.

    An `unreadable` receipt counts once per person and epoch; the next sender then makes a new epoch. From who came
    after the epoch of the place was made none is kept, only how far that reader has got.
    """
    access = open_thread(session, actor=actor, thread_id=thread_id)
    thread = access.thread
    try:
        receipt = read_receipt(raw)
    except Refused as refused:
        raise BadInput("form", extra={"reason": refused.reason.value}) from refused
    directory = ServerDirectory(session)
    if receipt.dev != actor.device_id or not directory.active(receipt.dev):
        raise Forbidden("device-needed")
    try:
        verify_receipt(raw, actor.account_id, lambda seq: _place(session, thread, seq), directory)
    except Refused as refused:
        # Whoever joined the team after the epoch of that place was made reads it by the team's newer key, but has no
        # voice there: nobody else could verify the receipt. Where the reader stands is counted all the same.
        if refused.reason is not Reason.NOT_A_MEMBER or not access.voices:
            raise Unprocessable(refused.reason.value.replace(" ", "-")) from refused
    else:
        _keep(session, actor, thread, receipt, raw)
    _move_position(session, actor, thread, receipt.kind, receipt.seq)
    on_record.note(
        session,
        actor=actor,
        thread=thread,
        action=Action.RECEIPT_SENT,
        entity=Entity("Communication", f"{thread_id}.{receipt.seq}"),
        detail={"kind": receipt.kind},
    )
    return tell.touch(session, pharmacy_id=thread.pharmacy_id, thread_id=thread_id)


def _keep(session: Session, actor: Actor, thread: ThreadRow, receipt: SignedReceipt, raw: Mapping[str, Any]) -> None:
    kept = session.execute(
        _KEEP.of(session),
        {
            "thread_id": thread.id,
            "account_id": actor.account_id,
            "kind": receipt.kind,
            "pharmacy_id": thread.pharmacy_id,
            "seq": receipt.seq,
            "epoch": thread.epoch,
            "h": raw["h"],
            "sig": raw["sig"],
            "received_at": clock.now(),
        },
    ).one_or_none()
    if kept is None:
        known = session.get_one(Receipt, (thread.id, actor.account_id, receipt.kind))
        raise Conflict("receipt-older", extra={"seq": known.seq})


def _place(session: Session, thread: ThreadRow, seq: int) -> Place:
    """What lay at the record `seq`: the hash of the chain after it, and the members of its epoch."""
    state = ThreadState.from_json(thread.state)
    if seq > thread.head_seq:
        return Place(state, None, ())
    if seq == thread.head_seq:
        return Place(state, state.head, state.members)
    there = read_record(transported(session.get_one(Record, (thread.id, seq))))
    epoch = session.scalars(
        select(Record)
        .where(Record.thread_id == thread.id, Record.kind == "epoch", Record.seq <= seq)
        .order_by(Record.seq.desc())
        .limit(1)
    ).one()
    header = read_record(transported(epoch)).header
    return Place(state, there.head, header.members if isinstance(header, EpochHeader) else ())


def _move_position(session: Session, actor: Actor, thread: ThreadRow, kind: str, seq: int) -> None:
    thread_id = thread.id
    session.execute(
        _BEGIN.of(session),
        {
            "pharmacy_id": thread.pharmacy_id,
            "account_id": actor.account_id,
            "thread_id": thread_id,
            "delivered_seq": 0,
            "read_seq": 0,
            "read_messages": 0,
        },
    )
    whose = (thread.pharmacy_id, actor.account_id, thread_id)
    position = session.get_one(ReadPosition, whose, with_for_update=True)
    if kind == "delivered":
        position.delivered_seq = max(position.delivered_seq, seq)
    elif kind == "read":
        position.delivered_seq = max(position.delivered_seq, seq)
        if seq > position.read_seq:
            position.read_seq = seq
            position.read_messages = session.get_one(Record, (thread_id, seq)).messages
        position.read_at = clock.now()
        notify.has_read(session, actor.account_id, thread_id)
        if not actor.staff:
            own = session.scalars(
                select(InboxRow).where(InboxRow.reader_id == actor.account_id, InboxRow.thread_id == thread_id)
            ).one_or_none()
            if own is not None and own.last_seq <= seq:
                own.awaiting = False
