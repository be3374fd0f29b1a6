"""What opens a shared device: a PIN or passkey of its person, and a share of the server's for each.

The share is given for what the browser derives from the right PIN or passkey. After five wrong PINs it is deleted, so
that a copied browser profile is worth five guesses. A proof is the device's signature over the session's challenge: it
makes a locked session active again, which is no fresh login (docs/protocol.md section 2, "Shared devices").
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import policy, stops
from portal.accounts.actor import Actor
from portal.accounts.devices import Given, GuardShare, keep_guard, living, require_proof
from portal.accounts.forms import text_of_bytes
from portal.accounts.on_record import note_keys
from portal.accounts.tables import Device, DeviceGuard
from portal.audit import Action, Entity
from portal.core import clock, ids
from portal.core.bus import Bus
from portal.core.errors import BadInput, Conflict, NotFound
from portal.core.secrets_box import CannotOpen, SecretsBox
from portal.e2ee.encoding import b64, same, sha256
from portal.e2ee.guard import SHARE_BYTES, Method
from portal.identity import sessions
from portal.identity.session_life import CurrentSession, State

MOST_TRIES = 5
# However often the right one came between: whoever guesses while the person works has no more than these.
MOST_TRIES_EVER = 50


@dataclass(frozen=True)
class Handed:
    """A guard's share. Without one what was shown is wrong: `left` says how often it may still be, 0 that the share is
    deleted, None that nothing counts (a passkey's 32 bytes are not guessed)."""

    share: bytes | None
    left: int | None = None


def set_guard(session: Session, *, actor: Actor, guard: GuardShare, box: SecretsBox) -> None:
    """Set or change the PIN or passkey of the shared device this session is on. Asks for a fresh login.

    Raises StepUpNeeded, Forbidden `keys-stopped`, NotFound without such a device, BadInput.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    if actor.device_id is None or not living(session, actor, actor.device_id).shared:
        raise NotFound()
    keep_guard(session, actor=actor, device_id=actor.device_id, guard=guard, box=box)


def hand_over(
    session: Session,
    *,
    actor: Actor,
    current: CurrentSession,
    device_id: str,
    method: Method,
    auth: bytes,
    box: SecretsBox,
) -> Handed:
    """The share of a guard, for a session of the person on that device or on none yet, active or locked, that shows the
    right `auth`. A wrong one counts, which the caller commits before saying so.

    Raises NotFound for a foreign, ended or unknown device, one that another session is on, and a guard that was never
    set.
    """
    row = _guarded(session, actor, current, device_id)
    stops.needs_later_login(actor, stops.standing(session, actor.account_id))
    kept = session.get(DeviceGuard, (row.id, method.value), with_for_update=True)
    if kept is None:
        raise NotFound()
    entity = Entity("Device", row.id)
    note = partial(note_keys, session, actor=actor, entity=entity)
    if kept.share is None:
        return Handed(None, 0)
    if not same(sha256(auth), kept.auth_hash):
        kept.wrong += 1
        kept.wrong_ever += 1
        kept.untold, kept.wrong_at = kept.untold + 1, clock.now()
        left = min(MOST_TRIES - kept.wrong, MOST_TRIES_EVER - kept.wrong_ever) if method is Method.PIN else None
        tried = {"method": method.value, "wrong": kept.wrong}
        note(action=Action.KEY_GUARD_GIVEN, detail=tried, reason="guard-wrong")
        if left == 0:
            kept.share = None
            note(action=Action.KEY_GUARD_GONE, detail={"method": method.value})
        return Handed(None, left)
    kept.wrong = 0
    note(action=Action.KEY_GUARD_GIVEN, detail={"method": method.value})
    try:
        text = box.open(kept.share, actor.account_id, row.id, method.value)
    except CannotOpen as problem:
        raise Conflict("guard-gone") from problem
    return Handed(text_of_bytes(text, "share", length=SHARE_BYTES))


@dataclass(frozen=True)
class Tried:
    """How often what opens a device was wrong since its person last said that it was seen, and when last."""

    count: int
    last_at: datetime


def tried(session: Session, current: CurrentSession) -> Tried | None:
    """What to tell whoever has opened the shared device of this session; None while it is locked, or for nothing."""
    if current.state is not State.ACTIVE or current.stay is None or current.device_id is None:
        return None
    rows = session.execute(
        select(DeviceGuard.untold, DeviceGuard.wrong_at).where(DeviceGuard.device_id == current.device_id)
    ).all()
    moments = [moment for count, moment in rows if count > 0 and moment is not None]
    return Tried(sum(count for count, _ in rows), max(moments)) if moments else None


def seen(session: Session, *, current: CurrentSession, count: int) -> None:
    """The person has seen `count` wrong tries: later ones are still told, and the counts that close go on.

    Raises BadInput for a count below one.
    """
    if count < 1:
        raise BadInput("bad-field", extra={"field": "count"})
    if current.stay is None or current.device_id is None:
        return
    of_device = select(DeviceGuard).where(DeviceGuard.device_id == current.device_id)
    for guard in session.scalars(of_device.order_by(DeviceGuard.method).with_for_update()):
        told = min(guard.untold, count)
        guard.untold, count = guard.untold - told, count - told


def prove(
    session: Session,
    bus: Bus,
    *,
    actor: Actor,
    current: CurrentSession,
    device_id: str,
    signature: str,
    box: SecretsBox,
) -> tuple[Given, tuple[str, CurrentSession] | None]:
    """The person opened the device: it signs the session's challenge. Binds the session, unlocks a locked one.

    Returns the share for the time of the session, and for one that was locked its new cookie value and state. Raises
    as `devices.bind`, LoginExpired.
    """
    row = _guarded(session, actor, current, device_id)
    # Not the one that was there when the request began: whoever was locked meanwhile signs anew.
    require_proof(session, actor, row, sessions.challenge_now(session, current), signature)
    share = ids.random_bytes(SHARE_BYTES)
    stay = box.seal(b64(share), actor.account_id, row.id)
    row.seen_at = clock.now()
    sessions.bind_device(session, current.ref, row.id, stay=stay)
    note_keys(session, actor=actor, action=Action.KEY_DEVICE_BOUND, entity=Entity("Device", row.id))
    unlocked = sessions.unlock_on_device(session, bus, current, stay=stay) if current.state is State.LOCKED else None
    return Given(row.id, share), unlocked


def stay(session: Session, *, actor: Actor, current: CurrentSession, box: SecretsBox) -> Given:
    """The share for the time of an active session, for a page that is loaded anew.

    Raises Conflict `guard-needed` where the person has not opened the device since the last lock, NotFound when the
    device was ended.
    """
    if current.device_id is None or current.stay is None:
        raise Conflict("guard-needed")
    row = living(session, actor, current.device_id)
    try:
        text = box.open(current.stay, actor.account_id, row.id)
    except CannotOpen as problem:
        raise Conflict("guard-needed") from problem
    row.seen_at = clock.now()
    note_keys(session, actor=actor, action=Action.KEY_DEVICE_BOUND, entity=Entity("Device", row.id))
    return Given(row.id, text_of_bytes(text, "share", length=SHARE_BYTES))


def _guarded(session: Session, actor: Actor, current: CurrentSession, device_id: str) -> Device:
    row = living(session, actor, device_id)
    if not row.shared or current.device_id not in (None, device_id):
        raise NotFound()
    return row
