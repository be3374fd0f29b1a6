"""Who may read what of the audit record. Each look is itself put on record, in the transaction that reads.

A patient's side sees all that concerns the patient, at every pharmacy; a privacy officer what happened at the own one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from sqlalchemy.orm import Session

from portal.accounts import names, policy, relations
from portal.accounts.actor import Actor
from portal.accounts.names import Colleague, Named
from portal.accounts.roles import Role
from portal.audit import Action, Entity, Purpose, queries, record, record_each
from portal.audit.queries import Filters, Seen
from portal.core.errors import Forbidden
from portal.pharmacies import care

LOOK_PAGE = 60
SEARCH_PAGE = 50


@dataclass(frozen=True)
class Reading:
    """A page of the record, newest first. `known`: those who acted and whom the reader may be told by name, by account.

    `next` is the `before` of the following page, None at the end.
    """

    rows: tuple[Seen, ...]
    known: Mapping[str, Named]
    next: int | None


def look(
    session: Session, *, actor: Actor, patient_id: str, zone: tzinfo, before: int | None = None, others: bool = False
) -> Reading:
    """What happened to a patient's data. Raises NotFound for whoever has nothing to do with the patient.

    The patient's side is not told the names of other patients: that a neighbour has an account here is the
    neighbour's own affair. A privacy officer is. `zone`: the reader's, in which a day begins. `others` leaves out
    what the reader did.
    """
    policy.allow_patient_audit(actor, patient_id=patient_id, pharmacy_ids=care.ever_cared(session, patient_id))
    if actor.relation(patient_id) is None and actor.pharmacy_id is not None:
        here = Filters(patient_id=patient_id)
        page = queries.search(session, actor.pharmacy_id, here, before=before, limit=LOOK_PAGE)
    else:
        own = actor.account_id if others else None
        page = queries.who_looked(session, patient_id, zone=zone, but=own, before=before, limit=LOOK_PAGE)
    known = _names(session, page)
    if not actor.staff:
        ours = {actor.account_id, *relations.ever(session, patient_id)}
        known = {id: who for id, who in known.items() if who.role != Role.PATIENT or id in ours}
    record(
        session,
        Action.AUDIT_VIEWED,
        agent=actor.agent,
        patient_id=patient_id,
        pharmacy_id=actor.pharmacy_id,
        on_behalf=actor.on_behalf(patient_id),
        entity=Entity("Patient", patient_id),
        purpose=Purpose.PATRQT if actor.relation(patient_id) else Purpose.HCOMPL,
    )
    return Reading(tuple(page.items), known, page.next)


def search(session: Session, *, actor: Actor, filters: Filters, before: int | None = None) -> Reading:
    """What fits a privacy officer's filters. Raises Forbidden for any other role.

    One row for the search, and one for each patient whose rows it showed.
    """
    pharmacy_id = _office(actor)
    page = queries.search(session, pharmacy_id, filters, before=before, limit=SEARCH_PAGE)
    known = _names(session, page)
    record(session, Action.AUDIT_SEARCHED, agent=actor.agent, pharmacy_id=pharmacy_id, purpose=Purpose.HCOMPL)
    record_each(
        session,
        Action.AUDIT_VIEWED,
        agent=actor.agent,
        pharmacy_id=pharmacy_id,
        patient_ids=sorted({row.patient_id for row in page.items if row.patient_id}),
        purpose=Purpose.HCOMPL,
    )
    return Reading(tuple(page.items), known, page.next)


def colleagues(session: Session, *, actor: Actor) -> list[Colleague]:
    """Whose acts a privacy officer can ask for by name. Raises Forbidden for any other role."""
    return names.staff_of(session, _office(actor))


def _office(actor: Actor) -> str:
    """The pharmacy whose record the actor searches."""
    if actor.pharmacy_id is None:
        raise Forbidden()
    policy.allow_pharmacy_audit(actor, pharmacy_id=actor.pharmacy_id)
    return actor.pharmacy_id


def _names(session: Session, page: queries.Page) -> dict[str, Named]:
    return names.names_of(session, (row.account_id for row in page.items if row.account_id))
