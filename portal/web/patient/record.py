"""Who looked at my data: every line of the record that concerns a patient, in plain words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, Response, jsonify, render_template, request

from portal.accounts.roles import Scope
from portal.core.errors import BadInput
from portal.privacy.record import look
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.json import query_int, stamp
from portal.web.patient import chosen
from portal.web.record_words import Line, in_words
from portal.web.wiring import services

blueprint = Blueprint("record", __name__)
VISIT_GAP = timedelta(minutes=30)


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
    patient, choices = chosen.person(actor, Scope.ALL)
    before, others = query_int("before"), request.args.get("who") == "others"
    lines, following = _lines(patient.patient_id, before, others=others) if patient is not None else ([], None)
    days: dict[str, list[Visit]] = {}
    for visit in visits(lines):
        days.setdefault(pages.format_date(visit.at), []).append(visit)
    return render_template(
        "patient/record.html",
        patient=patient,
        choices=choices,
        # Who acts for others in part only: who looked is theirs to see.
        only_theirs=patient is None and bool(actor.acting),
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
    lines, following = _lines(patient_id, query_int("before"))
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


def _lines(patient_id: str, before: int | None, *, others: bool = False) -> tuple[list[Line], int | None]:
    actor = current_actor()
    with services().database.transaction() as session:
        seen = look(session, actor=actor, patient_id=patient_id, zone=pages.zone(), before=before, others=others)
    lines = [
        in_words(row, seen.known.get(row.account_id or ""), own=row.account_id == actor.account_id) for row in seen.rows
    ]
    return lines, seen.next
