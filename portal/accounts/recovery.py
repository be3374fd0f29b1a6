"""Ways back to a person's keys: the user root key wrapped by passkey, recovery code or passphrase.

The server sees none of these. Of a passkey it verifies nothing, as only what the passkey gives opens the wrap.

Wraps are what an attacker with the login would try passphrases on, so they are given only within 5 minutes of a login,
to browsers without a certified device only a few times a day, and the person hears of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.accounts import notices, policy, stops
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.forms import answering_refusals, clean_name, wrong
from portal.accounts.notices import What
from portal.accounts.on_record import note_keys
from portal.accounts.tables import AheadKeys, RecoveryRead, RecoveryWrap
from portal.audit import Action, Entity, Purpose, record
from portal.core import clock, ids
from portal.core.errors import Conflict, Forbidden, NotFound, TooMany
from portal.e2ee.recovery import Method, URKWrap, read_wrap

DAY = timedelta(days=1)
MOST_PASSKEYS = 10


@dataclass(frozen=True)
class Way:
    """A recovery way that was set, and whether the person has tried it out. Passkeys have a name."""

    id: str
    method: Method
    name: str | None
    set_at: datetime
    tried_at: datetime | None


def ways(session: Session, account_id: str) -> list[Way]:
    """The recovery ways of an account."""
    mine = select(RecoveryWrap).where(RecoveryWrap.account_id == account_id)
    rows = session.scalars(mine.order_by(RecoveryWrap.method, RecoveryWrap.set_at))
    return [Way(row.id, Method(row.method), row.name, row.set_at, row.tried_at) for row in rows]


def has_way(session: Session, account_id: str) -> bool:
    """Whether the person can get back to the own keys at all."""
    return bool(ways(session, account_id))


def needs_own_keys(session: Session, *, actor: Actor) -> None:
    """What every act asks for that decides who gets a team's key: it is somebody whose own keys are not easily lost.

    Raises StepUpNeeded without a fresh login, Forbidden `device-needed`, `recovery-first` or `keys-stopped`.
    """
    policy.needs_step_up(actor)
    if actor.device_id is None:
        raise Forbidden("device-needed")
    if not has_way(session, actor.account_id):
        raise Forbidden("recovery-first")
    stops.hold(session, actor.account_id)


def set_way(session: Session, *, actor: Actor, way: str, wrap: dict[str, Any], name: str | None = None) -> None:
    """Set or replace the recovery way of this id. The first one asks for nothing, a change for a fresh login (step-up).

    `name` belongs to a passkey. Raises Forbidden without a certified device and while the account is stopped,
    StepUpNeeded, BadInput for another form, user or way, Conflict `too-many-passkeys`.
    """
    if actor.device_id is None:
        raise Forbidden("device-needed")
    if has_way(session, actor.account_id):
        policy.needs_step_up(actor)
    read = _check(actor.account_id, way, wrap)
    passkey = read.method is Method.PASSKEY
    if passkey != (name is not None):
        wrong("name")
    cleaned = None if name is None else clean_name(name, "name")
    stops.hold(session, actor.account_id)
    row = session.get(RecoveryWrap, (actor.account_id, way))
    if row is None:
        if passkey and sum(one.method is Method.PASSKEY for one in ways(session, actor.account_id)) >= MOST_PASSKEYS:
            raise Conflict("too-many-passkeys")
        row = RecoveryWrap(account_id=actor.account_id, id=way, method=read.method.value)
        session.add(row)
    row.name = cleaned
    row.wrap, row.set_at, row.tried_at = wrap, clock.now(), None
    _note(session, actor, Action.KEY_RECOVERY_SET, method=read.method.value, way=way)
    notices.tell(session, actor, What.RECOVERY_SET)


def remove_way(session: Session, *, actor: Actor, way: str) -> None:
    """Take a recovery way away, after a fresh login; never the last one, as the root key would go with it.

    Raises Forbidden without a certified device and while the account is stopped, StepUpNeeded, NotFound, Conflict
    `last-way`.
    """
    if actor.device_id is None:
        raise Forbidden("device-needed")
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    row = session.get(RecoveryWrap, (actor.account_id, way))
    if row is None:
        raise NotFound()
    if len(ways(session, actor.account_id)) == 1:
        raise Conflict("last-way")
    _note(session, actor, Action.KEY_RECOVERY_REMOVED, method=row.method, way=way)
    session.delete(row)
    notices.tell(session, actor, What.RECOVERY_REMOVED)


def keep_code_ahead(session: Session, *, account_id: str, wrap: dict[str, Any]) -> None:
    """The code that opens keys which were made ahead for an account; who may is the caller's business."""
    way = _check(account_id, Method.CODE.value, wrap).way
    session.add(RecoveryWrap(account_id=account_id, id=way, method=way, wrap=wrap, set_at=clock.now(), tried_at=None))


def read_wraps(session: Session, *, actor: Actor, reads_per_day: int) -> list[dict[str, Any]]:
    """The wraps; that of keys made ahead only until these end, so that a sheet found later opens nothing.

    Raises StepUpNeeded without a fresh login, Forbidden `keys-stopped`, TooMany for too many reads without a device.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    if actor.device_id is None:
        _count_read(session, actor, reads_per_day)
        notices.tell(session, actor, What.RECOVERY_READ)
    _note(session, actor, Action.KEY_RECOVERY_READ)
    made_ahead = session.get(AheadKeys, actor.account_id)
    if made_ahead is not None and made_ahead.taken_at is None and made_ahead.ends_at <= clock.now():
        return []
    mine = select(RecoveryWrap.wrap).where(RecoveryWrap.account_id == actor.account_id)
    return list(session.scalars(mine.order_by(RecoveryWrap.method, RecoveryWrap.set_at)))


def confirm_reads(session: Session, *, actor: Actor) -> None:
    """Another session of the person, on a certified device, says "that is me": the day's reads count anew."""
    if actor.device_id is None:
        raise Forbidden("device-needed")
    session.execute(delete(RecoveryRead).where(RecoveryRead.account_id == actor.account_id))
    _note(session, actor, Action.KEY_RECOVERY_READ, confirmed=True)


def tried(session: Session, *, actor: Actor, way: str) -> None:
    """The person tried a way out and it opened. Raises NotFound when that way is not set."""
    row = session.get(RecoveryWrap, (actor.account_id, way))
    if row is None:
        raise NotFound()
    row.tried_at = clock.now()
    _note(session, actor, Action.KEY_RECOVERY_TRIED, method=row.method, way=way)


def note_print(session: Session, *, actor: Actor) -> None:
    """Put on record that the sheet with the recovery code is printed; the code itself is known to the browser only."""
    record(
        session,
        Action.PRINTED,
        agent=actor.agent,
        entity=Entity("Person", actor.account_id),
        purpose=Purpose.PATRQT,
        detail={"what": "recovery"},
    )


def _count_read(session: Session, actor: Actor, reads_per_day: int) -> None:
    one_at_a_time(session, actor.account_id)
    moment = clock.now()
    today = (RecoveryRead.account_id == actor.account_id) & (RecoveryRead.at > moment - DAY)
    count, first = session.execute(select(func.count(), func.min(RecoveryRead.at)).where(today)).one()
    if count >= reads_per_day:
        left = first + DAY - moment
        raise TooMany("recovery-reads", retry_after=int(left.total_seconds()) + 1)
    session.execute(delete(RecoveryRead).where(RecoveryRead.at <= moment - DAY))
    session.add(RecoveryRead(id=ids.random_id(), account_id=actor.account_id, at=moment))


def _note(session: Session, actor: Actor, action: Action, **detail: str | bool) -> None:
    note_keys(session, actor=actor, action=action, detail={"device": actor.device_id, **detail})


def _check(account_id: str, way: str, wrap: dict[str, Any]) -> URKWrap:
    # Weak stretching is refused here as in every browser (docs/protocol.md section 2).
    with answering_refusals():
        read = read_wrap(wrap)
    # What one device shows to another is no way back: it is kept for minutes, elsewhere.
    if (read.user, read.way) != (account_id, way) or read.method is Method.DEVICE:
        wrong("wrap")
    return read
