"""Whose data a page shows: one's own, or that of somebody one acts for; and through which pharmacy it is read."""

from dataclasses import dataclass
from typing import Any

from flask import request

from portal.accounts import names
from portal.accounts.actor import Actor
from portal.care.context import read_context
from portal.core.errors import NotFound, PortalError
from portal.web import pages
from portal.web.public.frame import current_frame
from portal.web.wiring import ehr_readers, services


@dataclass(frozen=True)
class Person:
    """A patient one may choose. `name` None: only the relation is known."""

    patient_id: str
    kind: str
    name: str | None


@dataclass(frozen=True)
class View:
    """What a page about a patient knows. `panel` None: see `problem`, the code of what went wrong."""

    patient: Person | None
    choices: list[Person]
    panel: dict[str, Any] | None
    problem: str | None


def person(actor: Actor) -> tuple[Person | None, list[Person]]:
    """The patient named by `?for=`, else the first. Raises NotFound for anybody one does not act for."""
    choices = _choices(actor)
    wanted = request.args.get("for")
    if wanted is None:
        return (choices[0] if choices else None), choices
    for one in choices:
        if one.patient_id == wanted:
            return one, choices
    raise NotFound()


def view(actor: Actor) -> View:
    """The chosen patient with the context, or why there is none now."""
    patient, choices = person(actor)
    profile = current_frame().profile
    if patient is None:
        return View(None, [], None, "no-patient")
    if profile is None:
        return View(patient, choices, None, "no-pharmacy")
    try:
        found = read_context(
            services().database, ehr_readers(), actor=actor, patient_id=patient.patient_id, pharmacy_id=profile.id
        )
    except PortalError as problem:
        if problem.status not in (404, 502, 503) or problem.code.startswith("database"):
            raise
        return View(patient, choices, None, problem.code)
    return View(patient, choices, found.to_json(pages.spoken(), today=pages.today()), None)


def _choices(actor: Actor) -> list[Person]:
    patients = [acting.patient_id for acting in actor.acting]
    with services().database.reading() as session:
        known = names.selves(session, patients)
    return [
        Person(acting.patient_id, acting.kind, known[acting.patient_id][1] if acting.patient_id in known else None)
        for acting in actor.acting
    ]
