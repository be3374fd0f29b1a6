"""The recovery key of a pharmacy over JSON: how it stands, a new one, and the records that two sheets have signed."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from portal.accounts import names, policy
from portal.pharmacies import profiles, recovery_acts, recovery_key, teams
from portal.pharmacies.topics import TeamKind, recovery_id, team_id
from portal.web.acting import current_actor
from portal.web.json import stamp, takes
from portal.web.wiring import services

blueprint = Blueprint("recovery_key", __name__, url_prefix="/api/pharmacies/<pharmacy_id>/recovery-key")


@dataclass(frozen=True)
class NewSheets:
    """The public half of a new recovery key, and who holds sheet 1, 2 and 3."""

    entry: dict[str, Any]
    holders: list[str]


@dataclass(frozen=True)
class Tried:
    """Which sheets were tried: the number of their entry."""

    n: int


@dataclass(frozen=True)
class Use:
    """The next generation of each team of an act, by team."""

    records: dict[str, dict[str, Any]]


@blueprint.get("")
def standing(pharmacy_id: str) -> Response:
    """The sheets of a pharmacy, the teams they open, and the act that is going on."""
    with services().database.reading() as session:
        actor = current_actor(session)
        policy.allow_see_recovery(actor, pharmacy_id=pharmacy_id)
        profiles.get(session, pharmacy_id)
        made = recovery_key.sheets(session, pharmacy_id)
        covered = recovery_key.covered(session, pharmacy_id, made)
        act = recovery_acts.going_on(session, pharmacy_id)
        used = made is not None and recovery_acts.used_since(session, pharmacy_id, made)
        people = names.names_of(session, {act.asked_by, act.account_id} if act is not None else set())
    return jsonify(
        id=recovery_id(pharmacy_id),
        sheets=None
        if made is None
        else {
            "n": made.n,
            "holders": list(made.holders),
            "made_at": stamp(made.made_at),
            "tried_at": stamp(made.tried_at),
            "used": used,
        },
        teams={kind.value: open_ for kind, open_ in covered.items()},
        act=None
        if act is None
        else {
            "id": act.id,
            "state": recovery_acts.state_of(act).value,
            "account": act.account_id,
            "name": people[act.account_id].name if act.account_id in people else "",
            "teams": [f"{pharmacy_id}_{kind}" for kind in act.teams],
            "asked_by": act.asked_by,
            "asked_name": people[act.asked_by].name if act.asked_by in people else "",
            "until": stamp(act.expires_at),
        },
    )


@blueprint.post("")
@takes(NewSheets)
def keep(new: NewSheets, pharmacy_id: str) -> tuple[Response, int]:
    """Store a new recovery key, after a fresh login. Its private half is on paper already, and was tried."""
    with services().database.transaction() as session:
        n = recovery_key.keep(
            session,
            actor=current_actor(session),
            pharmacy_id=pharmacy_id,
            entry=new.entry,
            holders=tuple(new.holders),
        )
    return jsonify(n=n), 201


@blueprint.post("/tried")
@takes(Tried)
def tried(which: Tried, pharmacy_id: str) -> Response:
    """Note that two sheets were typed in and gave the key."""
    with services().database.transaction() as session:
        at = recovery_key.tried(session, actor=current_actor(session), pharmacy_id=pharmacy_id, n=which.n)
    return jsonify(tried_at=stamp(at))


@blueprint.post("/acts/<act_id>/use")
@takes(Use)
def use(made: Use, pharmacy_id: str, act_id: str) -> tuple[Response, int]:
    """Take what two sheets have signed: the next generation of each team of the act, all or none."""
    with services().database.transaction() as session:
        actor = current_actor(session)
        # An act is about teams of one pharmacy, whatever else somebody has sent.
        own = [team_id(pharmacy_id, kind) for kind in TeamKind]
        before = {team: teams.members(session, team) for team in own if team in made.records}
        appended = recovery_acts.use(session, actor=actor, pharmacy_id=pharmacy_id, act_id=act_id, records=made.records)
    for one in appended:
        teams.tell(services().bus, one.team, {*one.members, *one.left, *before[one.team], actor.account_id})
    return jsonify(teams=[{"team": one.team, "gen": one.gen} for one in appended]), 201
