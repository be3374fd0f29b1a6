"""The EHRs that pharmacies read from: a row for each, asked for by portal.care."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor
from portal.audit import Action, Entity, Purpose, record
from portal.core import clock
from portal.core.errors import BadInput, NotFound
from portal.pharmacies.tables import EhrCheck, EhrConnection, Pharmacy


def of_pharmacy(session: Session, pharmacy_id: str) -> EhrConnection | None:
    """The EHR connection a pharmacy reads from: its first; None without one."""
    return session.scalar(
        select(EhrConnection)
        .where(EhrConnection.pharmacy_id == pharmacy_id)
        .order_by(EhrConnection.created_at, EhrConnection.id)
        .limit(1)
    )


def everyone(session: Session) -> list[EhrConnection]:
    """All EHR connections of this portal."""
    return list(session.scalars(select(EhrConnection).order_by(EhrConnection.id)))


def settle(
    session: Session, *, actor: Actor, pharmacy_id: str, base_url: str, auth: str, client_id: str | None
) -> None:
    """`add` by the operator on a page: the first connection of a pharmacy, made or changed; its last test is void.

    Raises Forbidden for anybody else, NotFound and BadInput as `add`.
    """
    policy.allow_open_pharmacy(actor)
    known = of_pharmacy(session, pharmacy_id)
    connection_id = known.id if known is not None else f"{pharmacy_id}-ehr"
    add(
        session,
        pharmacy_id=pharmacy_id,
        connection_id=connection_id,
        base_url=base_url,
        auth=auth,
        client_id=client_id,
    )
    session.execute(delete(EhrCheck).where(EhrCheck.connection_id == connection_id))
    record(
        session,
        Action.PHARMACY_CHANGED,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        entity=Entity("Organization", pharmacy_id),
        purpose=Purpose.HOPERAT,
        detail={"what": "ehr-connection"},
    )


def add(
    session: Session, *, pharmacy_id: str, connection_id: str, base_url: str, auth: str, client_id: str | None = None
) -> None:
    """Give a pharmacy an EHR to read from, or change it; `auth` is `none` or `smart` (SMART Backend Services).

    Raises NotFound for an unknown pharmacy, BadInput for an address that is no http(s) one.
    """
    if session.get(Pharmacy, pharmacy_id) is None:
        raise NotFound("unknown-pharmacy")
    if not base_url.startswith(("http://", "https://")) or auth not in ("none", "smart"):
        raise BadInput("ehr-connection")
    row = session.get(EhrConnection, connection_id)
    if row is None:
        row = EhrConnection(id=connection_id, pharmacy_id=pharmacy_id, created_at=clock.now())
        session.add(row)
    row.base_url, row.auth, row.client_id = base_url.rstrip("/"), auth, client_id
