"""My account: how things are shown, what is told and when, and the way to sessions, devices and recovery."""

from zoneinfo import available_timezones

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import preferences, telling
from portal.accounts.telling import Channel, Kind
from portal.core import texts
from portal.core.errors import BadInput
from portal.web import pages
from portal.web.acting import current_actor
from portal.web.wiring import services

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
def show() -> str:
    """What is set now."""
    return _page({})


@blueprint.post("/account")
def change() -> ResponseReturnValue:
    """Keep what the form says; a wrong value comes back with the page and a word on what to do."""
    form = request.form
    errors = {}
    if form.get("language") not in texts.LANGUAGES:
        errors["language"] = pages.translate("account.error.language")
    if form.get("time_zone") and form["time_zone"] not in available_timezones():
        errors["time_zone"] = pages.translate("account.error.zone")
    if errors:
        return _page(errors), 422
    wanted = {(kind, channel): f"tell-{kind}-{channel}" in form for kind in Kind for channel in Channel}
    quiet = form.get("quiet_from", "").strip(), form.get("quiet_until", "").strip()
    try:
        with services().database.transaction() as session:
            preferences.choose(
                session,
                actor=current_actor(),
                language=form["language"],
                time_zone=form.get("time_zone", ""),
                large_text=form.get("text") == "large",
            )
            zone = form.get("time_zone") or pages.zone().key
            telling.choose(session, actor=current_actor(), wanted=wanted, quiet=quiet, zone=zone)
    except BadInput as problem:
        if problem.code != "quiet-hours":
            raise
        return _page({"quiet": pages.translate("account.error.quiet")}, quiet), 422
    back = redirect("/account?saved=1", 303)
    # Pages for everyone follow this browser's choice, whoever is signed in.
    pages.keep_choice(back, pages.LANGUAGE_COOKIE, form["language"])
    pages.keep_choice(back, pages.LARGE_TEXT_COOKIE, "large" if form.get("text") == "large" else "normal")
    return back


def _page(errors: dict[str, str], quiet: tuple[str, str] | None = None) -> str:
    with services().database.reading() as session:
        chosen = preferences.of(session, current_actor().account_id)
        told = telling.of(session, current_actor().account_id)
    kept = (told.quiet.start, told.quiet.end) if told.quiet is not None else ("", "")
    return render_template(
        "patient/account.html",
        chosen=chosen,
        told=[(kind.value, channel.value, on) for (kind, channel), on in told.wanted.items()],
        quiet=quiet or kept,
        zones=pages.zone_places(),
        errors=errors,
        saved=request.args.get("saved") == "1",
    )
