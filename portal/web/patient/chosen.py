"""Whose data a page shows: one's own, or that of somebody one acts for; and through which pharmacy it is read."""

from dataclasses import dataclass
from typing import Any

from flask import request

from portal.accounts import names
from portal.accounts.actor import Actor
from portal.accounts.roles import Scope
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
    scope: str

    def reaches(self, scope: str) -> bool:
        """Whether acts of a scope are covered, by its word: for templates."""
        return Scope(self.scope).reaches(Scope(scope))


@dataclass(frozen=True)
class View:
    """What a page about a patient knows. `panel` None: see `problem`, the code of what went wrong."""

    patient: Person | None
    choices: list[Person]
    panel: dict[str, Any] | None
    problem: str | None


def person(actor: Actor, scope: Scope = Scope.ORDERS) -> tuple[Person | None, list[Person]]:
    """The patient named by `?for=`, else the first, of those one acts for in `scope`. Raises NotFound for others."""
    choices = [one for one in _choices(actor) if Scope(one.scope).reaches(scope)]
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
        if problem.status not in (404, 502, 503) or problem.of_database:
            raise
        return View(patient, choices, None, problem.code)
    return View(patient, choices, found.to_json(pages.spoken(), today=pages.today()), None)


def context_of(actor: Actor, patient_id: str) -> dict[str, Any] | None:
    """The panel of a patient through the pharmacy in view; None where it cannot be read now."""
    profile = current_frame().profile
    if profile is None:
        return None
    try:
        found = read_context(
            services().database, ehr_readers(), actor=actor, patient_id=patient_id, pharmacy_id=profile.id
        )
    except PortalError as problem:
        if problem.status not in (404, 502, 503) or problem.of_database:
            raise
        return None
    return found.to_json(pages.spoken(), today=pages.today())


def _choices(actor: Actor) -> list[Person]:
    patients = [acting.patient_id for acting in actor.acting]
    with services().database.reading() as session:
        known = names.selves(session, patients)
    return [
        Person(
            acting.patient_id,
            acting.kind,
            known[acting.patient_id][1] if acting.patient_id in known else None,
            acting.scope,
        )
        for acting in actor.acting
    ]
