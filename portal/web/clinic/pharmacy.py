"""Opening a pharmacy: the checklist, and a page for each of its steps. For the operator and the people in charge there.

A page keeps what was typed when something is wrong with it, and says what.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import policy
from portal.accounts.roles import Role
from portal.care import checking
from portal.core import clock, texts
from portal.core.errors import BadInput, Conflict
from portal.pharmacies import ages, checklist, connections, emergency, hours, profiles, recovery_key, regulators, teams
from portal.pharmacies.checklist import Step
from portal.pharmacies.profiles import Profile
from portal.pharmacies.topics import TEAM_OF_TOPIC, TeamKind, Topic
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.wiring import services

blueprint = Blueprint("pharmacy", __name__, url_prefix="/pharmacies")
SPANS = ("1", "2")
# What "Tuesday to Friday are the same" fills where nothing is typed.
_LIKE_MONDAY = ("tue", "wed", "thu", "fri")
# The steps that the operator can take too, each on a page of its name; the others are for who works there.
_OPERATORS = frozenset({Step.PROFILE, Step.HOURS, Step.HOLIDAYS, Step.TOPICS, Step.CONNECTION, Step.STAFF})
# The steps that only people of a team's roles can take.
_FOUNDED = {
    Step.PHARMACISTS: TeamKind.PHARMACISTS,
    Step.DESK: TeamKind.DESK,
    Step.SUPERVISORS: TeamKind.SUPERVISORS,
    Step.PRIVACY: TeamKind.PRIVACY,
}
_MOST_HOLIDAYS = 60
_LICENCE = ("number", "authority", "url", "accreditation", "complaints")


@blueprint.get("")
@roles_only(Role.OPERATOR)
def listed() -> str:
    """All pharmacies of this portal, each with what it still lacks, and the form for a new one."""
    return _list_page({"country": pages.likely_country()}, {})


@blueprint.post("")
@roles_only(Role.OPERATOR)
def add() -> ResponseReturnValue:
    """Open a new pharmacy; its checklist comes next."""
    given = _given()
    try:
        profile = Profile(id=given.get("id", ""), **_fields_of(given))
        with services().database.transaction() as session:
            profiles.open_new(session, actor=current_actor(), profile=profile)
    except (BadInput, Conflict) as problem:
        return _list_page(given, _errors_of(problem)), 422
    return redirect(f"/pharmacies/{profile.id}", 303)


@blueprint.get("/<pharmacy_id>")
def overview(pharmacy_id: str) -> str:
    """The checklist: what is there, what is missing, where to go."""
    with services().database.reading() as session:
        actor = current_actor(session)
        policy.allow_pharmacy_settings(actor, pharmacy_id=pharmacy_id)
        profile = profiles.get(session, pharmacy_id)
        steps = checklist.of(session, pharmacy_id)
        sheets = recovery_key.sheets(session, pharmacy_id)
    missing = [one for one in steps if one.needed and not one.done]
    operator = actor.role is Role.OPERATOR
    others = {step for step, kind in _FOUNDED.items() if actor.role not in teams.ROLES[kind]}
    own = _OPERATORS if operator else frozenset(Step) - others
    # Whether there are recovery sheets is the operator's to see too.
    hrefs = {step: _page_of(step, pharmacy_id) for step in own | {Step.SHEETS}}
    return render_template(
        "clinic/pharmacy.html",
        hrefs=hrefs,
        own=own,
        founders={step: min(teams.ROLES[kind]) for step, kind in _FOUNDED.items()},
        goes_on=next((one.step for one in steps if one.step in own and not one.done and not one.awaited), None),
        profile=profile,
        steps=steps,
        sheets=sheets,
        missing=missing,
        country=dict(pages.country_names()).get(profile.country, profile.country),
        unknown=_unknown_of(profile.country),
        age=ages.of_pharmacy(profile.country, profile.parents_until_age, services().settings.parents_until_age),
        done=sum(one.done for one in steps),
        operator=operator,
        saved="saved" in request.args,
    )


@blueprint.get("/<pharmacy_id>/profile")
def profile(pharmacy_id: str) -> str:
    """Name, address, phone, languages, licence."""
    return _form("profile", pharmacy_id, _given_of(_settings(pharmacy_id)))


@blueprint.post("/<pharmacy_id>/profile")
def save_profile(pharmacy_id: str) -> ResponseReturnValue:
    """Keep them."""

    return _save("profile", pharmacy_id, lambda known: replace(known, **_fields_of(_given())))


@blueprint.get("/<pharmacy_id>/hours")
def opening_hours(pharmacy_id: str) -> str:
    """When it is open, day by day."""
    return _form("hours", pharmacy_id, _given_of_week(_settings(pharmacy_id).week))


@blueprint.post("/<pharmacy_id>/hours")
def save_hours(pharmacy_id: str) -> ResponseReturnValue:
    """Keep them."""
    return _save("hours", pharmacy_id, lambda known: replace(known, week=_week_of(_given())))


@blueprint.get("/<pharmacy_id>/holidays")
def holidays(pharmacy_id: str) -> str:
    """The days on which it is closed."""
    return _form("holidays", pharmacy_id, {}, known=_settings(pharmacy_id))


@blueprint.post("/<pharmacy_id>/holidays")
def save_holidays(pharmacy_id: str) -> ResponseReturnValue:
    """Add a day, take one away, or say that no more are coming."""

    def changed(known: Profile) -> Profile:
        days = dict(known.holidays or {})
        if drop := request.form.get("drop"):
            days.pop(_day(drop), None)
        elif request.form.get("act") == "add":
            day, name = _day(request.form.get("day", "")), request.form.get("name", "").strip()
            if len(days) >= _MOST_HOLIDAYS:
                raise BadInput("pharmacy-profile", extra={"field": "holidays"})
            days[day] = name
        return replace(known, holidays=days, holidays_checked_at=clock.now())

    stay = request.form.get("act") == "add" or "drop" in request.form
    return _save("holidays", pharmacy_id, changed, then="/holidays" if stay else "")


@blueprint.get("/<pharmacy_id>/topics")
def topics(pharmacy_id: str) -> str:
    """What patients may write about."""
    known = _settings(pharmacy_id)
    return _form("topics", pharmacy_id, {}, known=known)


@blueprint.post("/<pharmacy_id>/topics")
def save_topics(pharmacy_id: str) -> ResponseReturnValue:
    """Keep them."""
    chosen = tuple(topic.value for topic in Topic if topic.value in request.form.getlist("topic"))
    return _save("topics", pharmacy_id, lambda known: replace(known, topics=chosen))


@blueprint.get("/<pharmacy_id>/connection")
def connection(pharmacy_id: str) -> str:
    """The EHR it reads from, and what the last test found."""
    return _connection_page(pharmacy_id, {})


@blueprint.post("/<pharmacy_id>/connection")
@roles_only(Role.OPERATOR)
def save_connection(pharmacy_id: str) -> ResponseReturnValue:
    """Keep the address and test it at once."""
    given = _given()
    try:
        with services().database.transaction() as session:
            connections.settle(
                session,
                actor=current_actor(),
                pharmacy_id=pharmacy_id,
                base_url=given.get("base_url", ""),
                auth=given.get("auth", ""),
                client_id=given.get("client_id") or None,
            )
            checking.ask(session, actor=current_actor(), pharmacy_id=pharmacy_id)
    except BadInput:
        return _connection_page(pharmacy_id, {"base_url": pages.translate("setup.error.base_url")}), 422
    return redirect(f"/pharmacies/{pharmacy_id}/connection", 303)


@blueprint.post("/<pharmacy_id>/connection/check")
def check_connection(pharmacy_id: str) -> ResponseReturnValue:
    """Test it again."""
    with services().database.transaction() as session:
        checking.ask(session, actor=current_actor(), pharmacy_id=pharmacy_id)
    return redirect(f"/pharmacies/{pharmacy_id}/connection", 303)


def _unknown_of(country: str) -> list[str]:
    """What the reviewed tables do not hold for a country, so that whoever opens a pharmacy there knows of it."""
    numbers = emergency.numbers(country)
    known = {
        "emergency": numbers is not None,
        "poison": numbers is not None and numbers.poison is not None,
        "complaints": regulators.authority(country) is not None,
        "age": ages.is_known(country),
    }
    return [name for name, there in known.items() if not there]


def _page_of(step: Step, pharmacy_id: str) -> str:
    """Where a step is taken."""
    if step in _OPERATORS:
        return f"/pharmacies/{pharmacy_id}/{step}"
    pages_of = {Step.INVITATION: "invitations", Step.SHEETS: "recovery"}
    return f"/pharmacies/{pharmacy_id}/{pages_of[step]}" if step in pages_of else "/team"


def _settings(pharmacy_id: str) -> Profile:
    with services().database.reading() as session:
        policy.allow_pharmacy_settings(current_actor(session), pharmacy_id=pharmacy_id)
        return profiles.get(session, pharmacy_id)


def _save(step: str, pharmacy_id: str, changed: Callable[[Profile], Profile], *, then: str = "") -> ResponseReturnValue:
    """Change the profile in one transaction; what is wrong comes back with the page and what was typed."""
    try:
        with services().database.transaction() as session:
            profiles.settle(session, actor=current_actor(session), pharmacy_id=pharmacy_id, changed=changed)
    except BadInput as problem:
        return _form(step, pharmacy_id, _given(), known=_settings(pharmacy_id), errors=_errors_of(problem)), 422
    return redirect(f"/pharmacies/{pharmacy_id}{then or '?saved=1'}", 303)


def _form(
    step: str,
    pharmacy_id: str,
    given: dict[str, str],
    *,
    known: Profile | None = None,
    errors: dict[str, str] | None = None,
) -> str:
    return render_template(
        f"clinic/pharmacy_{step}.html",
        pharmacy_id=pharmacy_id,
        given=given,
        known=known,
        errors=errors or {},
        days=hours.DAYS,
        spans=SPANS,
        zones=pages.zone_names(),
        countries=pages.country_names(),
        languages=texts.LANGUAGES,
        topics=[(topic.value, TEAM_OF_TOPIC[topic].value) for topic in Topic],
        today=clock.now().astimezone(pages.zone()).date().isoformat(),
    )


def _list_page(given: dict[str, str], errors: dict[str, str]) -> str:
    with services().database.reading() as session:
        found = profiles.everyone(session)
        offered = checklist.offered(session, found)
    return render_template(
        "clinic/pharmacies.html",
        pharmacies=found,
        offered=offered,
        given=given,
        errors=errors,
        zones=pages.zone_names(),
        countries=pages.country_names(),
        languages=texts.LANGUAGES,
    )


def _connection_page(pharmacy_id: str, errors: dict[str, str]) -> str:
    with services().database.reading() as session:
        actor = current_actor(session)
        policy.allow_pharmacy_settings(actor, pharmacy_id=pharmacy_id)
        known, check = checking.last(session, pharmacy_id)
        profile_known = profiles.get(session, pharmacy_id)
    given = _given() if errors else {}
    settings = services().settings
    if known is None and not given:
        # The operator has said it once, where the portal was started.
        auth = "smart" if settings.ehr_private_key else "none"
        given = {"base_url": settings.ehr_base_url, "auth": auth, "client_id": settings.ehr_client_id}
    elif known is not None and not given:
        given = {"base_url": known.base_url, "auth": known.auth, "client_id": known.client_id or ""}
    return render_template(
        "clinic/pharmacy_connection.html",
        pharmacy_id=pharmacy_id,
        name=profile_known.name,
        connection=known,
        check=check,
        given=given,
        errors=errors,
        operator=actor.role is Role.OPERATOR,
        finding_name=_finding_name,
    )


def _finding_name(what: str) -> str:
    """What a finding is about, for the reader."""
    kind, _, part = what.partition(":")
    named = pages.translate(f"setup.part.{part}") if kind == "search" else part
    return pages.translate(f"setup.finding.{kind}", what=named)


def _given() -> dict[str, str]:
    """What was typed, with the white space around it taken away. Languages are joined by commas."""
    given = {name: value.strip() for name, value in request.form.items() if name != "csrf_token"}
    return given | {"languages": ",".join(request.form.getlist("languages"))}


def _fields_of(given: dict[str, str]) -> dict[str, Any]:
    """The members of a profile that its form holds. Raises BadInput."""
    licence = {name: given[f"licence_{name}"] for name in _LICENCE if given.get(f"licence_{name}")}
    url = licence.get("url", "")
    if url and not url.startswith("https://"):
        raise BadInput("pharmacy-profile", extra={"field": "licence"})
    return {
        **{name: given.get(name, "") for name in ("name", "address", "phone", "country", "time_zone")},
        "on_call_phone": given.get("on_call_phone") or None,
        "languages": tuple(one for one in given.get("languages", "").split(",") if one),
        "licence": licence or None,
        "parents_until_age": _age(given.get("parents_until_age", "")),
    }


def _given_of(known: Profile) -> dict[str, str]:
    given: dict[str, Any] = {
        "name": known.name,
        "address": known.address,
        "phone": known.phone,
        "on_call_phone": known.on_call_phone or "",
        "country": known.country,
        "time_zone": known.time_zone,
        "languages": ",".join(known.languages),
        "parents_until_age": "" if known.parents_until_age is None else str(known.parents_until_age),
    }
    return given | {f"licence_{name}": str((known.licence or {}).get(name, "")) for name in _LICENCE}


def _age(typed: str) -> int | None:
    if typed and not (typed.isascii() and typed.isdigit() and len(typed) == 2):
        raise BadInput("pharmacy-profile", extra={"field": "parents_until_age"})
    return int(typed) if typed else None


def _given_of_week(week: hours.Week | None) -> dict[str, str]:
    given: dict[str, str] = {}
    for day, spans in (week or {}).items():
        if spans == [["00:00", "24:00"]]:
            given[f"{day}-always"] = "on"
            continue
        for span, (start, end) in zip(SPANS, spans, strict=False):
            given[f"{day}-{span}-from"], given[f"{day}-{span}-until"] = start, "00:00" if end == "24:00" else end
    return given


def _week_of(given: dict[str, str]) -> dict[str, list[list[str]]]:
    """The week of a form: two spans a day, or the whole day. Midnight as an end is the day's end. Raises BadInput."""
    week: dict[str, list[list[str]]] = {}
    for day in hours.DAYS:
        if given.get("same") and day in _LIKE_MONDAY and not any(given.get(name) for name in _names_of(day)):
            week |= {day: week["mon"]} if "mon" in week else {}
            continue
        if given.get(f"{day}-always"):
            week[day] = [["00:00", "24:00"]]
            continue
        spans = []
        for span in SPANS:
            start, end = given.get(f"{day}-{span}-from", ""), given.get(f"{day}-{span}-until", "")
            if start or end:
                spans.append([start, "24:00" if end == "00:00" else end])
        if spans:
            week[day] = spans
    found = hours.parse_week(week)
    if not found:
        raise BadInput("hours", extra={"field": hours.DAYS[0]})
    return found


def _names_of(day: str) -> list[str]:
    """The fields of a day on the page of hours."""
    return [f"{day}-always", *(f"{day}-{span}-{edge}" for span in SPANS for edge in ("from", "until"))]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as problem:
        raise BadInput("pharmacy-profile", extra={"field": "day"}) from problem


def _errors_of(problem: BadInput | Conflict) -> dict[str, str]:
    if isinstance(problem, Conflict):
        return {"id": pages.translate("setup.error.taken")}
    field = "time_zone" if problem.code == "time-zone" else str(problem.extra.get("field", "name"))
    key = "hours" if problem.code == "hours" else field
    return {field: pages.translate(f"setup.error.{key}")}
