"""The EHRs that pharmacies read from: a row for each, asked for by portal.care."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core import clock
from portal.core.errors import BadInput, NotFound
from portal.pharmacies.tables import EhrConnection, Pharmacy


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
