"""Who looked at my data: every line of the record that concerns a patient, in plain words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, Response, jsonify, render_template, request

from portal.accounts import names, policy, relations
from portal.accounts.actor import Actor
from portal.accounts.roles import Role
from portal.audit import Action, Entity, Outcome, Purpose, queries, record
from portal.audit.queries import Filters, Seen
from portal.core import texts
from portal.core.errors import BadInput
from portal.pharmacies import care
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.json import query_int, stamp
from portal.web.patient import whose
from portal.web.public.frame import known_pharmacies
from portal.web.wiring import services

blueprint = Blueprint("record", __name__)
PAGE = 60
VISIT_GAP = timedelta(minutes=30)
# A page that is open fetches again with each message: how often that was says nothing, of how many things does.
_LOOKS = frozenset({Action.THREAD_READ, Action.MESSAGE_READ, Action.CONTEXT_READ, Action.ATTACHMENT_READ})


@dataclass(frozen=True)
class Line:
    """One row in words. With `since` it stands for `count` of one day, from then until `at`."""

    seq: int
    at: datetime
    who: str
    role: str
    what: str
    why: str
    refused: bool
    count: int
    icon: str
    own: bool
    since: datetime | None
    # What was looked at, for acts that an open page repeats by itself; None for others, each of which counts.
    looked_at: str | None


@dataclass
class Visit:
    """What one person did in one go, so that a talk does not fill the list. `at`: the first of it."""

    at: datetime
    until: datetime
    lines: list[Line]

    @property
    def acts(self) -> list[tuple[Line, int]]:
        """The different acts, the newest first, with how often each was done, or of how many things it was a look."""
        counted: dict[tuple[str, bool], tuple[Line, int]] = {}
        seen: set[tuple[str, bool, str]] = set()
        for line in self.lines:
            first, count = counted.get((line.what, line.refused), (line, 0))
            again = line.looked_at is not None and (line.what, line.refused, line.looked_at) in seen
            seen.add((line.what, line.refused, line.looked_at or ""))
            counted[line.what, line.refused] = (first, count if again else count + line.count)
        return list(counted.values())


def visits(lines: list[Line]) -> list[Visit]:
    """Lines, newest first, of the same person and role with the same purpose, with pauses of up to half an hour.

    What others did in between is a visit of theirs and parts none. What stands for a whole day stands by itself.
    """
    found: list[Visit] = []
    open_ones: dict[tuple[str, str, str], Visit] = {}
    for line in lines:
        key = (line.who, line.role, line.why)
        visit = open_ones.get(key)
        if line.since is None and visit is not None and visit.at - line.at <= VISIT_GAP:
            visit.lines.append(line)
            visit.at = line.at
            continue
        visit = Visit(line.since or line.at, line.at, [line])
        found.append(visit)
        if line.since is None:
            open_ones[key] = visit
    return found


@blueprint.get("/record")
def who_looked() -> str:
    """The page."""
    actor = current_actor()
    patient, choices = whose.chosen(actor)
    before, others = query_int("before"), request.args.get("who") == "others"
    lines, following = (
        read_lines(actor, patient.patient_id, before, others=others) if patient is not None else ([], None)
    )
    days: dict[str, list[Visit]] = {}
    for visit in visits(lines):
        days.setdefault(pages.format_date(visit.at), []).append(visit)
    return render_template(
        "patient/record.html",
        patient=patient,
        choices=choices,
        days=days,
        next=following,
        before=before,
        others=others,
    )


@blueprint.get("/api/audit")
def who_looked_json() -> Response:
    """The same as JSON."""
    patient_id = request.args.get("patient")
    if patient_id is None:
        raise BadInput("bad-field", extra={"field": "patient"})
    lines, following = read_lines(current_actor(), patient_id, query_int("before"))
    return jsonify(
        items=[
            {
                "seq": line.seq,
                "at": stamp(line.at),
                "who": line.who,
                "role": line.role,
                "what": line.what,
                "why": line.why,
                "refused": line.refused,
                "count": line.count,
                "since": stamp(line.since),
            }
            for line in lines
        ],
        next=None if following is None else str(following),
    )


def read_lines(
    actor: Actor, patient_id: str, before: int | None, *, others: bool = False
) -> tuple[list[Line], int | None]:
    """A page of the record of a patient, newest first: all of it to the patient's side, a privacy officer what happened
    at the own pharmacy. The look is recorded. Raises NotFound for foreign patients.

    The patient's side is not told the names of other patients: that a neighbour has an account here is the
    neighbour's own affair. A privacy officer sees them. `others` leaves out what the reader did.
    """
    with services().database.transaction() as session:
        policy.allow_patient_audit(actor, patient_id=patient_id, pharmacy_ids=care.ever_cared(session, patient_id))
        if actor.relation(patient_id) is None and actor.pharmacy_id is not None:
            officers = Filters(patient_id=patient_id)
            page = queries.search(session, actor.pharmacy_id, officers, before=before, limit=PAGE)
        else:
            own = actor.account_id if others else None
            page = queries.who_looked(session, patient_id, zone=pages.zone(), but=own, before=before, limit=PAGE)
        known = names.names_of(session, (row.account_id for row in page.items if row.account_id))
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
    return [in_words(row, known, actor.account_id) for row in page.items], page.next


def in_words(row: Seen, known: dict[str, names.Named], reader: str) -> Line:
    """A row as people read it; shared with the privacy officer's search."""
    who = known.get(row.account_id or "")
    own = row.account_id == reader
    return Line(
        seq=row.seq,
        at=row.recorded,
        who=_who(row, who, own),
        role=_role(row, who),
        what=did(row.action),
        why=_said(f"record.why.{row.purpose}", ""),
        refused=row.outcome != Outcome.SUCCESS,
        count=int((row.detail or {}).get("count", row.count)),
        icon=_ICONS.get(row.action.split(".")[0], "info"),
        own=own,
        since=row.since,
        looked_at=row.entity_id if row.action in _LOOKS else None,
    )


_ICONS = {
    "login": "person",
    "session": "person",
    "account": "person",
    "relation": "people",
    "invitation": "people",
    "care": "heart",
    "patient": "search",
    "thread": "message",
    "message": "message",
    "attachment": "clip",
    "context": "eye",
    "ehr": "clipboard",
    "key": "key",
    "team": "people",
    "printed": "print",
    "exported": "file",
    "audit": "list",
    "access": "stop",
}


def did(action: str) -> str:
    """An act in plain words."""
    return _said(f"record.did.{action}", pages.translate("record.did.other"))


def _who(row: Seen, who: names.Named | None, own: bool) -> str:
    if own:
        return pages.translate("record.who.self")
    if who is not None:
        return who.name
    if row.role == Role.PATIENT:
        return pages.translate("record.who.patient")
    if row.role:
        return _said(f"common.role.{row.role}", row.role)
    return pages.translate("record.who.system" if row.address is None else "record.who.unknown")


def _role(row: Seen, who: names.Named | None) -> str:
    role = _said(f"common.role.{row.role}", "") if row.role and who is not None else ""
    pharmacy = {one.id: one.name for one in known_pharmacies()}.get((who.pharmacy_id if who else None) or "")
    parts = [role, pharmacy or ""]
    if row.on_behalf:
        parts.append(pages.translate("record.who.behalf", kind=_said(f"common.role.{row.on_behalf}", row.on_behalf)))
    return ", ".join(part for part in parts if part)


def _said(key: str, otherwise: str) -> str:
    return pages.translate(key) if key in texts.catalogue(texts.DEFAULT_LANGUAGE) else otherwise
