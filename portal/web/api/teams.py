"""Teams over JSON: who sits where, and the signed records that change it."""

from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from portal.accounts.ahead import Ahead
from portal.pharmacies import generations, teams
from portal.pharmacies.teams import Seat, State, Team
from portal.web.acting import current_actor
from portal.web.json import Nothing, stamp, takes
from portal.web.wiring import services

blueprint = Blueprint("teams", __name__, url_prefix="/api")


@dataclass(frozen=True)
class Generation:
    """A team record as signed; `by` is the person who sends it."""

    h: str
    w: dict[str, Any]
    prev: str
    sig: str
    by: str | None = None


@dataclass(frozen=True)
class Somebody:
    """An account of the pharmacy."""

    account: str


@dataclass(frozen=True)
class KeysAhead:
    """First keys for a colleague who has none: entry made ahead, vault, and its root key wrapped under a code.

    `also`: the other teams that the code opens.
    """

    account: str
    entry: dict[str, Any]
    vault: dict[str, Any]
    wrap: dict[str, Any]
    also: list[str]


@blueprint.get("/pharmacies/<pharmacy_id>/teams")
def of_pharmacy(pharmacy_id: str) -> Response:
    """The teams of one's own pharmacy with everyone who sits in them or asks to."""
    with services().database.reading() as session:
        found = teams.of_pharmacy(session, actor=current_actor(), pharmacy_id=pharmacy_id)
    return jsonify(items=[_team(team) for team in found], next=None)


@blueprint.post("/teams/<team>/records")
@takes(Generation)
def append(new: Generation, team: str) -> tuple[Response, int]:
    """Found a team or make its next generation, after a fresh login."""
    record = {"h": new.h, "w": new.w, "prev": new.prev, "sig": new.sig}
    with services().database.transaction() as session:
        appended = generations.append_record(session, actor=current_actor(), team=team, record_=record)
    teams.tell(services().bus, team, {*appended.members, *appended.left})
    return jsonify(asdict(appended)), 201


@blueprint.post("/teams/<team>/ask")
@takes(Nothing)
def ask(_: Nothing, team: str) -> Response:
    """Ask for a seat."""
    with services().database.transaction() as session:
        state = teams.ask(session, actor=current_actor(), team=team)
        members = teams.members(session, team)
    teams.tell(services().bus, team, members)
    return _state(state)


@blueprint.post("/teams/<team>/leave")
@takes(Nothing)
def leave(_: Nothing, team: str) -> Response:
    """Give up the own seat: without access from now on."""
    with services().database.transaction() as session:
        actor = current_actor()
        state = teams.leave(session, actor=actor, team=team)
        members = teams.members(session, team)
    # The own browsers too: their streams still hear of the team.
    teams.tell(services().bus, team, {*members, actor.account_id})
    return _state(state)


@blueprint.post("/teams/<team>/approve")
@takes(Somebody)
def approve(somebody: Somebody, team: str) -> Response:
    """Say yes to somebody who has no keys yet, after a fresh login."""
    with services().database.transaction() as session:
        state = teams.approve_ahead(session, actor=current_actor(), team=team, account_id=somebody.account)
        return _state(state)


@blueprint.post("/teams/<team>/ahead")
@takes(KeysAhead)
def let_in_ahead(new: KeysAhead, team: str) -> tuple[Response, int]:
    """Make the first keys of a colleague who starts alone, after a fresh login; says until when they are taken."""
    with services().database.transaction() as session:
        until = teams.let_in_ahead(
            session,
            actor=current_actor(),
            team=team,
            account_id=new.account,
            entry=new.entry,
            sealed=new.vault,
            wrap=new.wrap,
            also=new.also,
        )
        members = {each: teams.members(session, each) for each in {team, *new.also}}
    for each, people in members.items():
        teams.tell(services().bus, each, people)
    return jsonify(until=stamp(until)), 201


@blueprint.post("/teams/<team>/decline")
@takes(Somebody)
def decline(somebody: Somebody, team: str) -> Response:
    """Refuse somebody's ask, or take the own one back."""
    with services().database.transaction() as session:
        return _state(teams.decline(session, actor=current_actor(), team=team, account_id=somebody.account))


def _state(state: State) -> Response:
    return jsonify(state=state.value)


def _team(team: Team) -> dict[str, Any]:
    return {
        "team": team.id,
        "kind": team.kind.value,
        "gen": team.gen,
        "sole_member": team.sole_member,
        "seats": [_seat(seat) for seat in team.seats],
        "expected": [asdict(one) for one in team.expected],
    }


def _seat(seat: Seat) -> dict[str, Any]:
    return {
        "account": seat.account,
        "name": seat.name,
        "role": seat.role,
        "state": seat.state.value,
        "since": stamp(seat.since),
        "has_keys": seat.has_keys,
        "flagged": seat.flagged,
        "ahead": ahead_json(seat.ahead),
    }


def ahead_json(ahead: Ahead | None) -> dict[str, Any] | None:
    """Keys that were made ahead and wait to be taken over."""
    return None if ahead is None else {"by": ahead.made_by, "name": ahead.name, "until": stamp(ahead.ends_at)}
