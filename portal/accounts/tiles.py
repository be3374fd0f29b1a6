"""Who shares a browser: the people of a counter's computer, each a tile on its lock page.

A browser is known by a random cookie that no script reads, and that is another one after each use: a copy of it, or one
that somebody planted, is of no use from then on. A tile leads to its person's own session there. Choosing one locks
whoever was active and goes on as that person, still locked: only the PIN or passkey opens it (docs/protocol.md section
2, "Shared devices").
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.accounts import devices, names, notices, policy, recovery, stops
from portal.accounts.actor import Actor
from portal.accounts.forms import first_wins
from portal.accounts.notices import What
from portal.audit import Agent
from portal.core import clock, ids
from portal.core.bus import Bus
from portal.core.errors import Conflict, NotFound
from portal.identity import session_rows, sessions
from portal.identity.session_life import CurrentSession, EndedBy, State
from portal.identity.tables import BrowserTile

MOST_TILES = 8
KEEP = timedelta(days=90)


@dataclass(frozen=True)
class Tile:
    """A person as the lock page shows them, and whether the session is still there."""

    account_id: str
    name: str
    role: str
    signed_in: bool


def put(session: Session, *, browser: str, current: CurrentSession) -> None:
    """The person of this session is one of those at this browser; of more than eight the one not seen longest goes.

    `browser` is the cookie's value, known here only as its hash.
    """
    key, now = ids.digest(browser), clock.now()
    row = session.get(BrowserTile, (key, current.account_id), with_for_update=True)
    if row is None:
        with first_wins(session, "moved-tile"):
            session.add(
                BrowserTile(browser_hash=key, account_id=current.account_id, session_ref=current.ref, seen_at=now)
            )
    else:
        row.session_ref, row.seen_at = current.ref, now
    session.flush()
    session.execute(delete(BrowserTile).where(BrowserTile.seen_at < now - KEEP))
    seen = select(BrowserTile.account_id).where(BrowserTile.browser_hash == key).order_by(BrowserTile.seen_at.desc())
    for account_id in session.scalars(seen).all()[MOST_TILES:]:
        session.execute(
            delete(BrowserTile).where(BrowserTile.browser_hash == key, BrowserTile.account_id == account_id)
        )


def is_known(session: Session, browser: str) -> bool:
    """Whether anybody shares a browser of this name; one that was made up or is out of use names none."""
    found = select(BrowserTile.account_id).where(BrowserTile.browser_hash == ids.digest(browser)).limit(1)
    return session.scalar(found) is not None


def renew(session: Session, browser: str | None) -> str:
    """A new name for a browser, with its people; None is one that nobody has shared so far."""
    name = ids.token(32)
    if browser is not None:
        mine = update(BrowserTile).where(BrowserTile.browser_hash == ids.digest(browser))
        session.execute(mine.values(browser_hash=ids.digest(name)))
    return name


def listed(session: Session, browser: str) -> list[Tile]:
    """The people of this browser by name."""
    rows = session.execute(
        select(BrowserTile.account_id, BrowserTile.session_ref).where(BrowserTile.browser_hash == ids.digest(browser))
    ).all()
    known = names.names_of(session, [account_id for account_id, _ in rows])
    tiles = [
        Tile(account_id, known[account_id].name, known[account_id].role, _living(session, ref) is not None)
        for account_id, ref in rows
        if account_id in known
    ]
    return sorted(tiles, key=lambda tile: (tile.name, tile.account_id))


def is_here(session: Session, browser: str, account_id: str) -> bool:
    """Whether this person is one of those at this browser."""
    return session.get(BrowserTile, (ids.digest(browser), account_id)) is not None


def choose(
    session: Session, bus: Bus, *, browser: str, account_id: str, current: CurrentSession | None
) -> tuple[str, CurrentSession] | None:
    """Go on as another person of this browser: who was active is locked, who comes is still locked.

    Returns the new cookie value of that person's session and it; None when it has ended, so that it takes a login.
    Raises NotFound for somebody who is not one of this browser's.
    """
    key = ids.digest(browser)
    row = session.get(BrowserTile, (key, account_id))
    if row is None:
        raise NotFound()
    if current is not None:
        sessions.lock(session, bus, current)
    wanted = _living(session, row.session_ref)
    if wanted is None or wanted.account_id != account_id:
        return None
    taken = sessions.take_up(session, bus, wanted)
    # Sessions before tiles, and all tiles in one order: two choices at once wait for one another.
    mine = select(BrowserTile.account_id).where(BrowserTile.browser_hash == key).order_by(BrowserTile.account_id)
    if account_id not in session.scalars(mine.with_for_update()).all():
        # The other choice was first, and the browser has another name since.
        raise NotFound()
    row.seen_at = clock.now()
    return taken


def remove(
    session: Session, bus: Bus, *, browser: str, account_id: str, agent: Agent, current: CurrentSession | None
) -> bool:
    """Take a person off this browser's lock page; the session there ends. What a PIN guards stays in the browser.

    Anybody at the browser may, so `agent` is who pressed, as far as that is known, and the person hears of it by mail:
    once for each time that the person came to this browser, as only a login puts the tile back. Not told is what the
    person did in the own session `current`; a locked one proves nobody. Returns whether that was one of this browser's.
    """
    seen = session.get(BrowserTile, (ids.digest(browser), account_id))
    if seen is None:
        return False
    # The session before the tile, as somebody who chooses this person at the same moment takes them.
    sessions.hold(session, seen.session_ref)
    row = session.get(BrowserTile, (ids.digest(browser), account_id), with_for_update=True, populate_existing=True)
    if row is None:
        return False
    living = _living(session, row.session_ref)
    session.delete(row)
    if living is not None and living.account_id == account_id:
        sessions.end(session, bus, living, EndedBy.LOGOUT, agent=agent)
    if current is None or current.account_id != account_id or current.state is not State.ACTIVE:
        notices.tell_account(session, account_id, What.TILE_REMOVED, by=agent.session_ref)
    return True


def forget(session: Session, bus: Bus, *, actor: Actor, browser: str | None) -> None:
    """The person takes the keys off the shared device that this session is on, and the own tile with them.

    Asks for a fresh login. The server's part of each guard is deleted and the device has ended, so that a copy of the
    browser's folder is worth nothing more; nobody is left who could sign as it, so no revocation is needed. This
    session goes on, without a device, to be signed out. Raises StepUpNeeded, Forbidden `keys-stopped`, NotFound without
    such a device, Conflict `last-way` for whoever would have no way back to the own messages.
    """
    policy.needs_step_up(actor)
    stops.hold(session, actor.account_id)
    if actor.device_id is None or not devices.living(session, actor, actor.device_id).shared:
        raise NotFound()
    elsewhere = [one for one in devices.own(session, actor=actor) if one.state is devices.State.ACTIVE]
    if len(elsewhere) == 1 and not recovery.ways(session, actor.account_id):
        raise Conflict("last-way")
    devices.end_unsigned(session, actor=actor, device_id=actor.device_id, bus=bus)
    if browser is not None:
        mine = (BrowserTile.browser_hash == ids.digest(browser), BrowserTile.account_id == actor.account_id)
        session.execute(delete(BrowserTile).where(*mine))


def _living(session: Session, ref: str) -> CurrentSession | None:
    found = session_rows.by_ref(session, ref)
    return found if found is not None and found.state is not State.ENDED and found.shared else None
