"""Inboxes: one row for each reader and thread, paged by keyset, with what the browser needs to show a subject."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, literal_column, or_, select, tuple_
from sqlalchemy.orm import Session

from portal import audit
from portal.accounts import names
from portal.accounts.actor import Actor
from portal.accounts.roles import Scope
from portal.audit import Action, Entity
from portal.core import clock, ids
from portal.core.database import table_of
from portal.core.errors import BadInput, NotFound
from portal.core.together import among
from portal.e2ee.encoding import b64
from portal.pharmacies import teams
from portal.pharmacies.tables import CareRelation
from portal.pharmacies.topics import TeamKind
from portal.threads.access import readers
from portal.threads.joining import joinable
from portal.threads.tables import KEY_KINDS, InboxCounter, InboxRow, ReadPosition, Record, Thread

_COUNTERS = table_of(InboxCounter)
_NUMBERS = (
    select(_COUNTERS.c.reader_id, func.max(_COUNTERS.c.change_no))
    .where(among(_COUNTERS.c.reader_id, "readers"))
    .group_by(_COUNTERS.c.reader_id)
)
PAGE = 25
MOST = 100
BADGE_LIMIT = 100


@dataclass(frozen=True)
class Head:
    """One line of an inbox. `first` and `last` are records as transported; `epochs` those they need to be opened;
    `joinable`: somebody may be let in (to staff)."""

    row: InboxRow
    thread: Thread
    patient_name: str | None
    unread: int
    first: tuple[Mapping[str, Any], ...]
    last: Mapping[str, Any] | None
    epochs: tuple[Mapping[str, Any], ...]
    joinable: bool


@dataclass(frozen=True)
class Page:
    """A page of an inbox; `next` is the cursor of the page after it."""

    items: tuple[Head, ...]
    next: str | None


@dataclass(frozen=True)
class ClosedQueue:
    """The inbox of a team that takes a person's role, but does not seat this one.

    `waiting`: how many threads wait there, counted to 100; `holders`: the names of who can let the person in.
    """

    team: str
    kind: TeamKind
    waiting: int
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """Lines of inboxes that changed, and the numbers they changed up to; `more`: there are others, ask again."""

    items: tuple[Head, ...]
    cursor: dict[str, int]
    more: bool


def my_readers(session: Session, *, actor: Actor) -> tuple[str, ...]:
    """The ids whose inboxes are the actor's."""
    return readers(actor, teams.teams_of(session, actor.account_id))


def page(
    session: Session,
    *,
    actor: Actor,
    reader: str | None,
    pharmacy_id: str | None,
    after: str | None,
    limit: int = PAGE,
    awaiting_only: bool = False,
    patient_id: str | None = None,
) -> Page:
    """The newest threads of one inbox (or all the actor has), `after` a cursor; `patient_id`: those of one patient.

    Recorded once for each patient.

    Raises NotFound for an inbox that is not the actor's, BadInput for a malformed cursor.
    """
    mine = my_readers(session, actor=actor)
    if reader is not None and reader not in mine:
        raise NotFound()
    limit = min(limit, MOST)
    query = (
        select(InboxRow, Thread)
        .join(Thread, Thread.id == InboxRow.thread_id)
        .where(_may_see(actor))
        .order_by(InboxRow.last_at.desc(), InboxRow.thread_id.desc())
        .limit(limit + 1)
    )
    pharmacy = actor.pharmacy_id if actor.staff else pharmacy_id
    if pharmacy is not None:
        query = query.where(InboxRow.pharmacy_id == pharmacy)
    if patient_id is not None:
        query = query.where(Thread.patient_id == patient_id)
    if awaiting_only:
        query = query.where(InboxRow.awaiting)
    if after is not None:
        moment, thread_id = _cursor(after)
        query = query.where(
            # Says the same twice: only a plain bound lets the index begin there.
            InboxRow.last_at <= moment,
            or_(InboxRow.last_at < moment, and_(InboxRow.last_at == moment, InboxRow.thread_id < thread_id)),
        )
    # Inbox by inbox, each from its index: over several at once a database would sort them whole.
    found = [
        (row, thread)
        for one in ([reader] if reader else mine)
        for row, thread in session.execute(query.where(_of(one)))
    ]
    found.sort(key=lambda line: (line[0].last_at, line[0].thread_id), reverse=True)
    more, rows = len(found) > limit, found[:limit]
    heads = _heads(session, actor, rows)
    return Page(heads, _cursor_text(rows[-1][0]) if more else None)


def changes(session: Session, *, actor: Actor, since: Mapping[str, int], limit: int = MOST) -> Changes:
    """The lines that changed after the given change numbers, with the new numbers.

    An inbox that `since` does not name starts at its present state: nothing of it is reported.
    """
    mine = my_readers(session, actor=actor)
    cursor = since_now(session, mine)
    rows: list[tuple[InboxRow, Thread]] = []
    more = False
    for reader, number in _known(mine, since):
        if more:
            cursor[reader] = number
            continue
        query = (
            select(InboxRow, Thread)
            .join(Thread, Thread.id == InboxRow.thread_id)
            .where(_of(reader), InboxRow.change_no > number, _may_see(actor))
            .order_by(InboxRow.change_no)
            .limit(limit - len(rows) + 1)
        )
        rows += [(row, thread) for row, thread in session.execute(query)]
        more = len(rows) > limit
        if more:
            rows.pop()
            cursor[reader] = rows[-1][0].change_no if rows and rows[-1][0].reader_id == reader else number
    return Changes(_heads(session, actor, rows), cursor, more)


def changed_since(session: Session, *, mine: Sequence[str], since: Mapping[str, int], limit: int) -> list[InboxRow]:
    """Bare rows changed after the cursor, for the event stream: ids and numbers, no content, so no audit row."""
    rows: list[InboxRow] = []
    for reader, number in _known(mine, since):
        query = (
            select(InboxRow)
            .where(_of(reader), InboxRow.change_no > number)
            .order_by(InboxRow.change_no)
            .limit(limit - len(rows))
        )
        rows += session.scalars(query)
        if len(rows) == limit:
            break
    return rows


def _of(reader: str) -> ColumnElement[bool]:
    """The rows of one inbox. The id stands in the statement itself: a plan made for any reader takes every inbox for a
    small one and would sort a team's hundred thousand rows for one page."""
    return InboxRow.reader_id == bindparam("reader", reader, literal_execute=True, unique=True)


def _known(mine: Sequence[str], since: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(reader, since[reader]) for reader in mine if reader in since]


def since_now(session: Session, mine: Sequence[str]) -> dict[str, int]:
    """The present change number of each inbox."""
    return dict.fromkeys(mine, 0) | dict(session.execute(_NUMBERS, {"readers": list(mine)}).all())


def awaiting_count(session: Session, *, actor: Actor) -> int:
    """How many threads that `page` shows wait for the actor, counted to 100: the badge shows "99+" from there."""
    count = 0
    for reader in my_readers(session, actor=actor):
        count += _waiting(session, actor, reader, BADGE_LIMIT - count)
    return count


def closed_to(session: Session, *, actor: Actor) -> list[ClosedQueue]:
    """The teams of the actor's pharmacy that the actor could sit in, and does not: who is alone must know what waits.

    Of those in which nobody sits, none: they get no questions. Names no patient, so it leaves no row in the record.
    """
    if actor.pharmacy_id is None or not actor.staff:
        return []
    mine = teams.teams_of(session, actor.account_id)
    found = []
    for kind, team in sorted(teams.founded(session, [actor.pharmacy_id])[actor.pharmacy_id].items()):
        if team in mine or actor.role not in teams.ROLES[kind]:
            continue
        people = teams.members(session, team)
        named = names.names_of(session, teams.who_came(session, people) or people)
        waiting = _waiting(session, actor, team, BADGE_LIMIT)
        found.append(ClosedQueue(team, kind, waiting, tuple(sorted(one.name for one in named.values()))))
    return found


def _waiting(session: Session, actor: Actor, reader: str, limit: int) -> int:
    rows = (
        select(InboxRow.thread_id)
        .join(Thread, Thread.id == InboxRow.thread_id)
        .where(_may_see(actor), InboxRow.awaiting, _of(reader))
        .limit(limit)
        .subquery()
    )
    return session.execute(select(func.count()).select_from(rows)).scalar_one()


def transported(record: Record, *, with_text: bool = True) -> dict[str, Any]:
    """A stored record as it travels: {h, sig, w?, wh?, cth?, ct?}."""
    out: dict[str, Any] = {"h": record.h, "sig": record.sig}
    if record.kind in ("epoch", "history"):
        out |= {"w": record.w, "wh": record.wh}
    elif record.kind == "msg":
        out["cth"] = record.cth
        if record.ct is not None and with_text:
            out["ct"] = b64(record.ct)
    return out


def _heads(session: Session, actor: Actor, rows: Sequence[tuple[InboxRow, Thread]]) -> tuple[Head, ...]:
    """Everything the lines need in a constant number of queries, and one audit row for each patient they show."""
    if not rows:
        return ()
    threads = {thread.id: thread for _, thread in rows}
    records = _records_for(session, threads.values())
    positions = {
        position.thread_id: position
        for position in session.scalars(
            select(ReadPosition).where(
                ReadPosition.pharmacy_id.in_({thread.pharmacy_id for thread in threads.values()}),
                ReadPosition.account_id == actor.account_id,
                ReadPosition.thread_id.in_(threads),
                # What only came to the browser was not opened yet.
                ReadPosition.read_seq > 0,
            )
        )
    }
    # What patients with an account call themselves; for the others the panel asks the EHR.
    people = names.selves(session, {thread.patient_id for thread in threads.values()}, closed=True)
    open_to = joinable(session, threads.values()) if actor.staff else {}
    new = _since_joining(session, actor, [row for row, _ in rows if row.thread_id not in positions])
    shown: dict[tuple[str, str | None], set[str]] = {}
    for thread in threads.values():
        shown.setdefault((thread.pharmacy_id, actor.on_behalf(thread.patient_id)), set()).add(thread.patient_id)
    for (pharmacy_id, on_behalf), patient_ids in shown.items():
        audit.record_each(
            session,
            Action.THREAD_LISTED,
            agent=actor.agent,
            patient_ids=sorted(patient_ids),
            pharmacy_id=pharmacy_id,
            on_behalf=on_behalf,
            entity=Entity("Organization", pharmacy_id),
            purpose=actor.purpose,
        )
    return tuple(
        _head(
            row,
            thread,
            records[thread.id],
            _unread(thread, positions.get(thread.id), new),
            people,
            thread.id in open_to,
        )
        for row, thread in rows
    )


def _since_joining(session: Session, actor: Actor, unopened: Sequence[InboxRow]) -> dict[str, int]:
    """How many messages of a team's threads came since the actor joined it: what was handled before is not new.

    For threads the actor has never opened; what waits for an answer counts as one at least. Those of which all is new
    are left out.
    """
    if not actor.staff or not unopened:
        return {}
    joined = teams.joined(session, actor.account_id)
    old = {row.thread_id: joined[row.reader_id] for row in unopened if row.reader_id in joined}
    found = dict.fromkeys(old, 0)
    newer = [row.thread_id for row in unopened if row.thread_id in old and row.last_at >= old[row.thread_id]]
    if newer:
        since = or_(*(and_(Record.thread_id == id, Record.received_at >= old[id]) for id in newer))
        counted = select(Record.thread_id, func.count()).where(since, Record.kind == "msg").group_by(Record.thread_id)
        found |= dict(session.execute(counted).all())
    waiting = {row.thread_id for row in unopened if row.awaiting}
    return {thread_id: max(count, 1) if thread_id in waiting else count for thread_id, count in found.items()}


def _unread(thread: Thread, position: ReadPosition | None, new: Mapping[str, int]) -> int:
    if position is None:
        return new.get(thread.id, thread.messages)
    return max(0, thread.messages - position.read_messages)


def _head(
    row: InboxRow,
    thread: Thread,
    records: Mapping[int, Record],
    unread: int,
    people: Mapping[str, tuple[str, str]],
    open_to_somebody: bool,
) -> Head:
    last = records.get(thread.head_seq)
    if last is None or last.kind != "msg":
        last = max((record for record in records.values() if record.kind == "msg"), key=lambda r: r.seq, default=None)
    shown = [record for record in (records.get(1), records.get(2)) if record is not None]
    return Head(
        row=row,
        thread=thread,
        patient_name=people[thread.patient_id][1] if thread.patient_id in people else None,
        unread=unread,
        first=tuple(_visible(record) for record in shown),
        last=_visible(last) if last is not None and last.seq > 2 else None,
        epochs=tuple(
            transported(record)
            for record in sorted(records.values(), key=lambda r: r.seq)
            if record.kind in ("epoch", "history")
        ),
        joinable=open_to_somebody,
    )


def _visible(record: Record) -> dict[str, Any]:
    # What was taken back is no line of an inbox, even where staff may still open it in the thread.
    return transported(record, with_text=record.retracted_by is None)


def _records_for(session: Session, threads: Iterable[Thread]) -> dict[str, dict[int, Record]]:
    """Epochs and histories, the first message and the newest record of each thread."""
    last = {thread.id: thread.last_message_seq for thread in threads}
    places = [(thread_id, seq) for thread_id, newest in last.items() for seq in sorted({2, newest})]
    found: dict[str, dict[int, Record]] = {thread_id: {} for thread_id in last}
    for wanted in (
        and_(Record.thread_id.in_(list(last)), carries_keys()),
        tuple_(Record.thread_id, Record.seq).in_(places),
    ):
        for record in session.scalars(select(Record).where(wanted)):
            found[record.thread_id][record.seq] = record
    return found


def carries_keys() -> ColumnElement[bool]:
    """Epoch and history records, in the words of the partial index that finds them without the messages."""
    return Record.kind.in_([literal_column(f"'{kind}'") for kind in KEY_KINDS])


def _may_see(actor: Actor) -> ColumnElement[bool]:
    """A line is shown while its patient is in the pharmacy's care, or acted for: membership alone is not enough."""
    if not actor.staff:
        return Thread.patient_id.in_([one.patient_id for one in actor.acting if one.reaches(Scope.MESSAGES)])
    moment = clock.now()
    return exists().where(
        CareRelation.pharmacy_id == Thread.pharmacy_id,
        CareRelation.patient_id == Thread.patient_id,
        CareRelation.starts_at <= moment,
        or_(CareRelation.ends_at.is_(None), CareRelation.ends_at > moment),
    )


def _cursor_text(row: InboxRow) -> str:
    return f"{int(row.last_at.timestamp() * 1_000_000)}.{row.thread_id}"


def _cursor(text: str) -> tuple[datetime, str]:
    micros, _, thread_id = text.partition(".")
    if not (micros.isascii() and micros.isdigit() and len(micros) < 18 and ids.is_id(thread_id)):
        raise BadInput("bad-field", extra={"field": "after"})
    return datetime.fromtimestamp(int(micros) // 1_000_000, UTC).replace(microsecond=int(micros) % 1_000_000), thread_id
