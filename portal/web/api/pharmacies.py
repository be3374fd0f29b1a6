"""Pharmacies over JSON: how to reach them, when somebody is there, and being in their care."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify

from portal.core import clock
from portal.pharmacies import care, checklist, emergency, profiles, teams
from portal.pharmacies.profiles import Profile
from portal.pharmacies.topics import TeamKind, Topic
from portal.web.acting import current_actor
from portal.web.json import stamp, takes
from portal.web.wiring import services

blueprint = Blueprint("pharmacies_api", __name__, url_prefix="/api/pharmacies")


@dataclass(frozen=True)
class CareOf:
    """The patient concerned."""

    patient: str


@blueprint.get("")
def listed() -> Response:
    """All pharmacies of this portal, for those who are signed in, with the ones that care for one's patients marked."""
    actor = current_actor()
    with services().database.reading() as session:
        found = profiles.everyone(session)
        founded = teams.founded(session, [one.id for one in found])
        caring = care.pharmacies_of(session, [one.patient_id for one in actor.acting])
    cares: dict[str, list[str]] = {one.id: [] for one in found}
    for patient_id, pharmacies in caring.items():
        for pharmacy_id in pharmacies:
            cares[pharmacy_id].append(patient_id)
    now = clock.now()
    return jsonify(items=[_profile(one, founded[one.id], cares[one.id], now) for one in found], next=None)


@blueprint.post("/<pharmacy_id>/care")
@takes(CareOf)
def choose(wanted: CareOf, pharmacy_id: str) -> tuple[str, int]:
    """Pick this pharmacy for oneself or somebody one acts for."""
    with services().database.transaction() as session:
        care.choose(session, actor=current_actor(), patient_id=wanted.patient, pharmacy_id=pharmacy_id)
    return "", 204


@blueprint.post("/<pharmacy_id>/care/end")
@takes(CareOf)
def end(wanted: CareOf, pharmacy_id: str) -> tuple[str, int]:
    """End the care relation of a patient with this pharmacy, from either side."""
    with services().database.transaction() as session:
        care.end(session, actor=current_actor(), patient_id=wanted.patient, pharmacy_id=pharmacy_id)
    return "", 204


def _profile(one: Profile, founded: dict[TeamKind, str], patients: list[str], now: datetime) -> dict[str, Any]:
    numbers = emergency.numbers(one.country)
    return {
        "id": one.id,
        "name": one.name,
        "phone": one.phone,
        "on_call_phone": one.on_call_phone,
        "address": one.address,
        "country": one.country,
        "time_zone": one.time_zone,
        "languages": one.languages,
        "hours": one.week,
        "holidays": [{"day": day.isoformat(), "name": name} for day, name in (one.holidays or {}).items()],
        "open_now": one.opening.is_open(now),
        "open_until": stamp(one.opening.open_until(now)),
        "next_open": stamp(one.opening.next_open(now)),
        "nobody_reads_before": stamp(one.opening.nobody_reads_before(now)),
        "emergency": asdict(numbers) if numbers is not None else None,
        # Patients may be offered it, and what they may write about.
        "offered": checklist.can_be_offered(one, founded),
        "topics": one.topics if one.topics is not None else [topic.value for topic in Topic],
        "teams": {kind.value: founded.get(kind) for kind in TeamKind},
        "in_care": patients,
    }
