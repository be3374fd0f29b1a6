"""The recovery sheets of a pharmacy: how they stand, and the two halves of using them.

For everybody who works there, and the operator.

Making, trying and typing sheets in happens on a page of the browser client (/sheets); here nothing secret is typed.
"""

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal.accounts import names, recovery
from portal.accounts.roles import CLINICAL, STAFF, Role
from portal.core import clock
from portal.core.errors import BadInput, Conflict, PortalError, StepUpNeeded
from portal.pharmacies import profiles, recovery_acts, recovery_key
from portal.pharmacies.recovery_acts import Choice, State
from portal.pharmacies.tables import RecoveryAct
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.limits import TELL_PER_ACCOUNT, at_most
from portal.web.wiring import services

blueprint = Blueprint("recovery", __name__)
PLACE = "/pharmacies/<pharmacy_id>/recovery"
# What comes back as a word on the page instead of a page of its own.
_SAID = (BadInput, Conflict, StepUpNeeded)
_DONE = frozenset({"asked", "confirmed", "refused", "cancelled"})


@blueprint.get("/recovery-sheets")
@roles_only(*STAFF)
def own() -> ResponseReturnValue:
    """The sheets of the own pharmacy."""
    return redirect(f"/pharmacies/{current_actor().pharmacy_id}/recovery", 303)


@blueprint.get(PLACE)
def overview(pharmacy_id: str) -> str:
    """How the sheets stand, what is asked for now, and what was."""
    return _page(pharmacy_id)


@blueprint.post(PLACE)
@at_most(TELL_PER_ACCOUNT)
def ask(pharmacy_id: str) -> ResponseReturnValue:
    """Ask that somebody be let in with the sheets."""

    def change(session: Session) -> str:
        recovery_acts.ask(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            account_id=request.form.get("account", ""),
            kinds=tuple(request.form.getlist("team")),
            reason=request.form.get("reason", ""),
        )
        return "asked"

    return _try(pharmacy_id, change)


@blueprint.post(f"{PLACE}/decide")
@at_most(TELL_PER_ACCOUNT)
def decide(pharmacy_id: str) -> ResponseReturnValue:
    """The second person's yes; or an end of it, by anybody there."""

    def change(session: Session) -> str:
        actor, act_id = current_actor(session), request.form.get("recovery", "")
        if request.form.get("act") == "confirm":
            recovery_acts.confirm(session, actor=actor, pharmacy_id=pharmacy_id, act_id=act_id)
            return "confirmed"
        return recovery_acts.stop(session, actor=actor, pharmacy_id=pharmacy_id, act_id=act_id).value

    return _try(pharmacy_id, change)


def _try(pharmacy_id: str, change: Callable[[Session], str]) -> ResponseReturnValue:
    try:
        with services().database.transaction() as session:
            done = change(session)
    except _SAID as problem:
        return _page(pharmacy_id, problem), 422
    return redirect(f"/pharmacies/{pharmacy_id}/recovery?done={done}", 303)


def _page(pharmacy_id: str, problem: PortalError | None = None) -> str:
    with services().database.reading() as session:
        actor = current_actor(session)
        acts = recovery_acts.latest(session, actor=actor, pharmacy_id=pharmacy_id)
        profile = profiles.get(session, pharmacy_id)
        made = recovery_key.sheets(session, pharmacy_id)
        covered = recovery_key.covered(session, pharmacy_id, made)
        used = made is not None and recovery_acts.used_since(session, pharmacy_id, made)
        choices: list[Choice] = []
        if actor.staff:
            choices = recovery_acts.choices(session, actor=actor, pharmacy_id=pharmacy_id)
        known = names.names_of(session, _people(acts) | ({made.made_by, made.tried_by} if made else set()))
        can_ask = actor.device_id is not None and recovery.has_way(session, actor.account_id)
    states = {row.id: recovery_acts.state_of(row) for row in acts}
    field = str(problem.extra.get("field", "")) if isinstance(problem, BadInput) else ""
    return render_template(
        "clinic/recovery.html",
        profile=profile,
        sheets=made,
        covered={kind.value: open_ for kind, open_ in covered.items()},
        used=used,
        choices=choices,
        kinds=[kind for kind in covered if any(kind in one.teams for one in choices)],
        can_ask=can_ask,
        now=next((row for row in acts if states[row.id] in (State.ASKED, State.CONFIRMED)), None),
        acts=[row for row in acts if states[row.id] not in (State.ASKED, State.CONFIRMED)],
        states={id: state.value for id, state in states.items()},
        known={id: one.name for id, one in known.items()},
        me=actor.account_id,
        operator=actor.role is Role.OPERATOR,
        checklist=actor.role is Role.OPERATOR or actor.role in CLINICAL,
        problem=problem,
        errors={field: pages.translate(f"sheets.error.{field}")} if field else {},
        stale=isinstance(problem, StepUpNeeded),
        done=pages.done_of(_DONE, problem=problem),
        today=clock.now(),
    )


def _people(acts: list[RecoveryAct]) -> set[str]:
    named = (one for row in acts for one in (row.account_id, row.asked_by, row.decided_by, row.ended_by))
    return {one for one in named if one is not None}
