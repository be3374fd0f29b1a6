"""The people who work at a pharmacy: who is there, who is invited, until when; inviting colleagues, and leaving.

For everybody who works there; for the operator as long as the pharmacy has no team of its own. What asks for a fresh
login keeps what was typed: the sign-in opens in a tab of its own.
"""

from collections.abc import Callable, Collection, Mapping

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from portal.accounts import names, policy
from portal.accounts.actor import Actor
from portal.accounts.roles import CLINICAL, STAFF, Role
from portal.core import texts
from portal.core.errors import BadInput, Conflict, Forbidden, PortalError, StepUpNeeded, TooMany
from portal.pharmacies import colleagues, profiles, staff_invitations, teams
from portal.pharmacies.staff_invitations import Newcomer
from portal.pharmacies.tables import StaffInvitation
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.wiring import services

blueprint = Blueprint("people", __name__)
PLACE = "/pharmacies/<pharmacy_id>/staff"
# What comes back as a word on the page instead of a page of its own.
_SAID = (BadInput, Conflict, TooMany, StepUpNeeded)
_DONE = frozenset({"invited", "again", "revoked", "last-day", "left"})


@blueprint.get("/staff")
@roles_only(*STAFF)
def own() -> ResponseReturnValue:
    """The people of the own pharmacy."""
    return redirect(f"/pharmacies/{current_actor().pharmacy_id}/staff", 303)


@blueprint.get(PLACE)
def listed(pharmacy_id: str) -> str:
    """Who works here, who is invited, and what can be done."""
    return _list_page(pharmacy_id)


@blueprint.get(f"{PLACE}/invite")
def form(pharmacy_id: str) -> str:
    """The form; filled in with an earlier invitation where one is to be made anew."""
    given = {"language": pages.spoken()}
    if again := request.args.get("again"):
        with services().database.reading() as session:
            row = staff_invitations.get(
                session, actor=current_actor(session), pharmacy_id=pharmacy_id, invitation_id=again
            )
            given |= {"name": row.name, "mail": row.mail, "role": row.role, "teams": ",".join(row.teams)}
    return _form_page(pharmacy_id, given, {})


@blueprint.post(f"{PLACE}/invite")
def invite(pharmacy_id: str) -> ResponseReturnValue:
    """Invite somebody; what is wrong comes back with what was typed."""
    given = {name: value.strip() for name, value in request.form.items() if name != "csrf_token"}
    given["teams"] = ",".join(request.form.getlist("teams"))
    try:
        newcomer = Newcomer(
            mail=given.get("mail", ""),
            name=given.get("name", ""),
            role=given.get("role", ""),
            teams=tuple(request.form.getlist("teams")),
            last_day=pages.day_or_none(given.get("last_day", ""), "last-day"),
            language=given.get("language", ""),
        )
        with services().database.transaction() as session:
            staff_invitations.invite(session, actor=current_actor(session), pharmacy_id=pharmacy_id, newcomer=newcomer)
    except _SAID as problem:
        return _form_page(
            pharmacy_id, given, pages.errors_of(problem, "staff"), stale=isinstance(problem, StepUpNeeded)
        ), 422
    return _back(pharmacy_id, "invited")


@blueprint.post(f"{PLACE}/invitations")
def change_invitation(pharmacy_id: str) -> ResponseReturnValue:
    """Send the mail of an invitation again, or take the invitation back."""
    invitation_id = request.form.get("invitation", "")
    left: dict[str, frozenset[str]] = {}

    def again(session: Session) -> None:
        actor = current_actor(session)
        staff_invitations.send_again(session, actor=actor, pharmacy_id=pharmacy_id, invitation_id=invitation_id)

    def revoke(session: Session) -> None:
        actor = current_actor(session)
        concerned = staff_invitations.revoke(session, actor=actor, pharmacy_id=pharmacy_id, invitation_id=invitation_id)
        session.flush()
        left.update({team: teams.members(session, team) for team in concerned})

    answer = _try(pharmacy_id, *((revoke, "revoked") if request.form.get("act") == "revoke" else (again, "again")))
    _tell(left)
    return answer


@blueprint.post(f"{PLACE}/last-day")
def set_last_day(pharmacy_id: str) -> ResponseReturnValue:
    """Set, move or remove somebody's last day of work."""
    asked = "" if request.form.get("act") == "remove" else request.form.get("last_day", "").strip()

    def change(session: Session) -> None:
        colleagues.set_last_day(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            account_id=request.form.get("account", ""),
            day=pages.day_or_none(asked, "last-day"),
        )

    return _try(pharmacy_id, change, "last-day")


@blueprint.post(f"{PLACE}/leave")
def leave(pharmacy_id: str) -> ResponseReturnValue:
    """Give up all the own seats."""
    left: dict[str, frozenset[str]] = {}

    def change(session: Session) -> None:
        left.update(colleagues.leave_all(session, actor=current_actor(session), pharmacy_id=pharmacy_id))

    answer = _try(pharmacy_id, change, "left")
    # One's own browsers close the teams.
    _tell({team: members | {current_actor().account_id} for team, members in left.items()})
    return answer


def _tell(left: Mapping[str, Collection[str]]) -> None:
    """Open browsers of those who stay make the next generation of the teams that somebody has left."""
    for team, members in left.items():
        teams.tell(services().bus, team, members)


def _try(pharmacy_id: str, change: Callable[[Session], None], done: str) -> ResponseReturnValue:
    try:
        with services().database.transaction() as session:
            change(session)
    except _SAID as problem:
        return _list_page(pharmacy_id, problem), 422
    return _back(pharmacy_id, done)


def _back(pharmacy_id: str, done: str) -> ResponseReturnValue:
    return redirect(f"/pharmacies/{pharmacy_id}/staff?done={done}", 303)


def _list_page(pharmacy_id: str, problem: PortalError | None = None) -> str:
    with services().database.reading() as session:
        actor = current_actor(session)
        people, known = colleagues.everyone(session, actor=actor, pharmacy_id=pharmacy_id)
        profile = profiles.get(session, pharmacy_id)
        invited, following, why_not = _invited(session, actor, pharmacy_id)
        ways = staff_invitations.ways_in(session, actor=actor, rows=invited)
        inviters = names.names_of(session, [row.invited_by for row in invited])
        alone = colleagues.alone_in(session, actor=actor, pharmacy_id=pharmacy_id)
    mine = next((one for one in people if one.account == actor.account_id), None)
    return render_template(
        "clinic/staff.html",
        profile=profile,
        people=people,
        known=known,
        invited=[(row, staff_invitations.state_of(row).value) for row in invited],
        ways=ways,
        inviters={id: one.name for id, one in inviters.items()},
        next=following,
        why_not=why_not,
        moves=frozenset() if why_not else staff_invitations.BRINGS.get(actor.role, frozenset()),
        mine=mine,
        alone=[kind.value for kind in alone],
        me=actor.account_id,
        operator=actor.role is Role.OPERATOR,
        checklist=actor.role is Role.OPERATOR or actor.role in CLINICAL,
        problem=problem,
        stale=isinstance(problem, StepUpNeeded),
        done=pages.done_of(_DONE, problem=problem),
    )


def _invited(session: Session, actor: Actor, pharmacy_id: str) -> tuple[list[StaffInvitation], str | None, str]:
    """Who is invited, where the next page begins, and why the reader may not see that, if so."""
    try:
        return *staff_invitations.unused(
            session, actor=actor, pharmacy_id=pharmacy_id, after=request.args.get("after")
        ), ""
    except Forbidden as refused:
        return [], None, pages.translate(refused.text_key)


def _form_page(pharmacy_id: str, given: dict[str, str], errors: dict[str, str], *, stale: bool = False) -> str:
    with services().database.reading() as session:
        actor = current_actor(session)
        may = staff_invitations.choices(session, actor=actor, pharmacy_id=pharmacy_id)
        profile = profiles.get(session, pharmacy_id)
    kinds = [kind for found in may.teams.values() for kind in found]
    return render_template(
        "clinic/staff_invite.html",
        profile=profile,
        given=given,
        errors=errors,
        roles=list(may.teams),
        kinds=list(dict.fromkeys(kinds)),
        languages=texts.LANGUAGES,
        stale=stale,
        fresh=policy.fresh_login(actor),
    )
