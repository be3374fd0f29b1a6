"""Sealed objects: what a person or team keeps on the server without the server reading it (docs/protocol.md section 8).

Drafts survive a logout, pins and heads make a roll-back visible, a team's confirmations serve all its members.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor, one_at_a_time
from portal.accounts.forms import answering_refusals, first_wins
from portal.accounts.on_record import note_keys
from portal.accounts.tables import SealedObject
from portal.audit import Action, Entity
from portal.core import clock
from portal.core.errors import BadInput, Conflict, Forbidden, NotFound, TooLarge, Unprocessable
from portal.e2ee.encoding import b64
from portal.e2ee.objects import ObjectName, verify_object
from portal.pharmacies import teams
from portal.pharmacies.keys import ServerDirectory

LARGEST_OBJECT = 256 * 1024
# All that an owner keeps: a draft for each thread one is at, of a few KiB, and a handful of pins, heads and settings.
MOST_OBJECTS = 1_000
MOST_BYTES = 16 * 1024 * 1024
PAGE = 100


class Kind(StrEnum):
    """What may be kept."""

    DRAFT = "draft"
    PINS = "pins"
    HEADS = "heads"
    SETTINGS = "settings"
    OUTBOX_KEY = "outbox_key"
    CONFIRMATIONS = "confirmations"
    CONTEXT = "context"


@dataclass(frozen=True)
class Stored:
    """An object as it travels; `rev` counts from 1."""

    id: str
    rev: int
    h: str
    sig: str
    ct: str


def page(
    session: Session, *, actor: Actor, owner: str, kind: str, after: str | None = None, limit: int = PAGE
) -> tuple[list[Stored], str | None]:
    """Objects of an owner and kind in the order of their ids, and the id to go on after; None at the end. Recorded."""
    _allow(session, actor, owner, kind)
    wanted = (
        select(SealedObject)
        .where(SealedObject.owner == owner, SealedObject.kind == kind)
        .order_by(SealedObject.id)
        .limit(limit + 1)
    )
    if after is not None:
        wanted = wanted.where(SealedObject.id > after)
    rows = list(session.scalars(wanted))
    shown = [Stored(row.id, row.rev, row.h, row.sig, b64(row.ct)) for row in rows[:limit]]
    if shown:
        _note(session, actor, Action.OBJECT_READ, owner, kind)
    return shown, shown[-1].id if len(rows) > limit else None


def put(session: Session, *, actor: Actor, owner: str, kind: str, id: str, rev: int, sealed: Mapping[str, Any]) -> int:
    """Store revision `rev` of an object, which must follow the one that is there. Returns it.

    It must be signed by the device this session is bound to, and sealed to the owner's newest key. Raises NotFound for
    a foreign owner or unknown kind, Forbidden, BadInput, Unprocessable with the reason, Conflict `moved-object` with
    the revision that is there, TooLarge beyond 256 KiB, `too-many-objects` beyond 1,000 or 16 MiB of an owner.
    """
    _allow(session, actor, owner, kind)
    directory = ServerDirectory(session)
    if not directory.active(actor.device_id):
        raise Forbidden("device-needed")
    with answering_refusals():
        read = verify_object(sealed, ObjectName(owner, kind, id), actor.account_id, rev, directory)
    if read.rev != rev or read.dev != actor.device_id:
        raise BadInput("form", extra={"field": "h"})
    newest = directory.user(owner)
    if newest is None or newest.gen != read.gen:
        raise Unprocessable("refused", extra={"reason": "member key"})
    if len(read.ct) > LARGEST_OBJECT:
        raise TooLarge()
    row = session.get(SealedObject, (owner, kind, id), with_for_update=True)
    there = row.rev if row is not None else 0
    if rev != there + 1:
        raise Conflict("moved-object", extra={"rev": there})
    if row is None or len(read.ct) > len(row.ct):
        _refuse_too_much(session, actor, owner, len(read.ct) - (len(row.ct) if row is not None else 0), new=row is None)
    if row is None:
        row = SealedObject(owner=owner, kind=kind, id=id)
        session.add(row)
    with first_wins(session, "moved-object"):
        row.rev, row.h, row.sig, row.ct, row.updated_at = rev, b64(read.h), b64(read.sig), read.ct, clock.now()
    _note(session, actor, Action.OBJECT_STORED, owner, kind)
    return rev


def remove(session: Session, *, actor: Actor, owner: str, kind: str, id: str) -> None:
    """Take an object away. Raises NotFound when there is none, or none of the actor's, Forbidden without a device:
    without pins and heads a browser no longer sees a roll-back.
    """
    _allow(session, actor, owner, kind)
    if not ServerDirectory(session).active(actor.device_id):
        raise Forbidden("device-needed")
    row = session.get(SealedObject, (owner, kind, id), with_for_update=True)
    if row is None:
        raise NotFound()
    session.delete(row)
    _note(session, actor, Action.OBJECT_REMOVED, owner, kind)


def _allow(session: Session, actor: Actor, owner: str, kind: str) -> None:
    in_team = owner != actor.account_id and teams.is_member(session, account_id=actor.account_id, team=owner)
    policy.allow_sealed_objects(actor, owner=owner, in_team=in_team)
    if kind not in set(Kind):
        raise NotFound()


def _refuse_too_much(session: Session, actor: Actor, owner: str, more: int, *, new: bool) -> None:
    one_at_a_time(session, actor.account_id)
    count, size = session.execute(
        select(func.count(), func.coalesce(func.sum(func.length(SealedObject.ct)), 0)).where(
            SealedObject.owner == owner
        )
    ).one()
    if count + new > MOST_OBJECTS or size + more > MOST_BYTES:
        raise TooLarge("too-many-objects")


def _note(session: Session, actor: Actor, action: Action, owner: str, kind: str) -> None:
    note_keys(session, actor=actor, action=action, entity=Entity("Object", owner), detail={"kind": kind})
