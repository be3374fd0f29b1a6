"""The privacy officer's search of the own pharmacy's record. Each search is itself put on record."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request

from portal.accounts.roles import Role
from portal.audit import Action, Outcome
from portal.audit.queries import Filters, Seen
from portal.core import ids
from portal.pharmacies import recovery_acts
from portal.privacy import record
from portal.web import pages
from portal.web.acting import current_actor, roles_only
from portal.web.json import query_int
from portal.web.record_words import Line, did, in_words
from portal.web.wiring import services

blueprint = Blueprint("privacy_office", __name__)


@blueprint.get("/privacy-office")
@roles_only(Role.PRIVACY)
def search() -> str:
    """The form and, once it was sent, what fits it, newest first."""
    filters, errors = _filters(pages.zone())
    with services().database.reading() as session:
        staff = record.colleagues(session, actor=current_actor())
        sheets = recovery_acts.going_on(session, current_actor().pharmacy_id or "")
    asked = bool(request.args.keys() - {"before"})
    rows, following = _find(filters, query_int("before")) if asked and not errors else ([], None)
    later = {name: value for name, value in request.args.items() if name != "before" and value}
    return render_template(
        "clinic/privacy_office.html",
        asked=asked and not errors,
        errors=errors,
        rows=rows,
        next=following,
        given=request.args,
        staff=staff,
        sheets=sheets,
        later=later,
        actions=sorted((did(action.value), action.value) for action in Action),
        outcomes=[outcome.value for outcome in Outcome],
    )


def _find(filters: Filters, before: int | None) -> tuple[list[tuple[Seen, Line]], int | None]:
    with services().database.transaction() as session:
        found = record.search(session, actor=current_actor(), filters=filters, before=before)
    return [(row, in_words(row, found.known.get(row.account_id or ""), own=False)) for row in found.rows], found.next


def _filters(zone: ZoneInfo) -> tuple[Filters, dict[str, str]]:
    """What the form says; days are whole days of the reader's zone. Errors by field."""
    errors: dict[str, str] = {}
    asked = {name: request.args.get(name, "").strip() for name in ("patient", "account", "action", "outcome")}
    for name in ("patient", "account"):
        if asked[name] and not ids.is_id(asked[name]):
            errors[name] = pages.translate("office.error.id")
    days: dict[str, date | None] = {}
    for name in ("from", "until"):
        text = request.args.get(name, "").strip()
        try:
            days[name] = date.fromisoformat(text) if text else None
        except ValueError:
            days[name] = None
            errors[name] = pages.translate("office.error.day")
    last = days["until"]
    return Filters(
        patient_id=asked["patient"] or None,
        account_id=asked["account"] or None,
        actions=[asked["action"]] if asked["action"] else [],
        outcome=asked["outcome"] or None,
        since=_start(days["from"], zone),
        until=_start(last + timedelta(days=1), zone) if last is not None else None,
    ), errors


def _start(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
