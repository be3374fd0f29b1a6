"""The operator's page: health, jobs that failed, the last checkpoint, settings. No patient, no message."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal.accounts.roles import Role
from portal.audit import Action, Entity, Purpose, record
from portal.audit.queries import Standing, standing
from portal.care import checking
from portal.care.checking import Light
from portal.core import clock, migrating, texts
from portal.core.errors import BadInput
from portal.core.settings import Settings
from portal.outbox import dead_letters
from portal.outbox.dead_letters import Backlog
from portal.pharmacies import profiles, recovery_acts
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.wiring import services

blueprint = Blueprint("operator", __name__)
# Whether these are set may be shown, never what they are.
_SECRET = ("secret", "password", "private_key", "database_url", "redis_url", "smtp_url")
# A worker that runs takes a due job within seconds, and seals the record each minute.
_JOBS_LATE = timedelta(minutes=2)
_SEAL_LATE = timedelta(minutes=10)
_PAGE = 50


@dataclass(frozen=True)
class Health:
    """How one thing stands. `what`: "schema", "jobs", "record", "mail" or "ehr"; the words are `operator.health.*`."""

    what: str
    light: Light
    # Since when it is so, where that says something.
    since: datetime | None = None
    # A pharmacy's name and page, for what is a pharmacy's own.
    name: str = ""
    href: str = ""
    # The word that the sentence goes by; the light where there is only one of each.
    state: str = ""


@blueprint.get("/operator")
@roles_only(Role.OPERATOR)
def overview() -> str:
    """How the server stands."""
    settings = services().settings
    schema_fits = migrating.current(services().database) == migrating.newest()
    with services().database.reading() as session:
        dead = dead_letters.find(session, after=request.args.get("after", ""), limit=_PAGE + 1)
        backlog = dead_letters.backlog(session)
        sheets = recovery_acts.everywhere(session, actor=current_actor(session))
        sealed = standing(session)
        pharmacies = profiles.everyone(session)
        health = [*_machine(schema_fits, backlog, sealed, settings), *_ehrs(session, pharmacies)]
    return render_template(
        "operator/overview.html",
        settings=shown_settings(settings),
        unsafe=settings.unsafe(),
        health=health,
        dead=dead[:_PAGE],
        next=dead[_PAGE - 1].id if len(dead) > _PAGE else None,
        sheets=[(row.pharmacy_id, name) for row, name in sheets],
        backlog=backlog,
        sealed=sealed,
        job_name=_job_name,
        names={one.id: one.name for one in pharmacies},
        done=request.args.get("done") if request.args.get("done") in _ACTS else None,
    )


# What may be done with a dead letter, and how that stands on record.
_ACTS = {
    "retry": (dead_letters.retry, Action.JOB_RETRIED),
    "give-up": (dead_letters.give_up, Action.JOB_GIVEN_UP),
}


@blueprint.post("/operator/dead-letters")
@roles_only(Role.OPERATOR)
def decide() -> ResponseReturnValue:
    """Try a dead letter again, or give it up; on record."""
    chosen = request.form.get("act", "")
    if chosen not in _ACTS:
        raise BadInput("bad-field")
    act, noted = _ACTS[chosen]
    job_id = request.form.get("job", "")
    with services().database.transaction() as session:
        kind = act(session, job_id)
        record(
            session,
            noted,
            agent=current_actor(session).agent,
            entity=Entity("Job", job_id),
            purpose=Purpose.HSYSADMIN,
            detail={"kind": kind},
        )
    return redirect(f"/operator?done={chosen}", 303)


def shown_settings(settings: Settings) -> list[tuple[str, str | None]]:
    """Variable and value; a secret's value is None when set and "" when not."""
    shown: list[tuple[str, str | None]] = []
    for name, field in type(settings).__dataclass_fields__.items():
        value = str(getattr(settings, name))
        secret = any(part in name for part in _SECRET)
        shown.append((str(field.metadata["variable"]), (None if value else "") if secret else value))
    return shown


def _job_name(kind: str) -> str:
    """What a kind of job does, for people; its own word where a newer portal has left one."""
    known = f"operator.job.{kind}" in texts.catalogue(texts.DEFAULT_LANGUAGE)
    return pages.translate(f"operator.job.{kind}") if known else kind


def _machine(schema_fits: bool, backlog: Backlog, sealed: Standing, settings: Settings) -> list[Health]:
    now = clock.now()
    waits = timedelta(seconds=backlog.oldest_seconds)
    late = sealed.waits_since is not None and sealed.waits_since < now - _SEAL_LATE
    return [
        Health("schema", Light.GREEN if schema_fits else Light.RED),
        Health("jobs", Light.RED, now - waits) if waits > _JOBS_LATE else Health("jobs", Light.GREEN),
        Health("record", Light.RED, sealed.waits_since) if late else Health("record", Light.GREEN),
        Health("mail", Light.GREEN if settings.smtp_url else Light.AMBER),
    ]


def _ehrs(session: Session, pharmacies: list[profiles.Profile]) -> list[Health]:
    """One for each pharmacy: the last test of its EHR connection."""
    found = []
    for one in pharmacies:
        connection, check = checking.last(session, one.id)
        lights = {str(finding["light"]) for finding in check.findings} if check is not None and check.done_at else set()
        worst = next((light for light in (Light.RED, Light.AMBER, Light.GREEN) if light in lights), None)
        state = "none" if connection is None else "untested" if worst is None else worst.value
        since = check.done_at if check is not None and worst is not None else None
        page = f"/pharmacies/{one.id}/connection"
        found.append(Health("ehr", worst or Light.AMBER, since, name=one.name, href=page, state=state))
    return found
