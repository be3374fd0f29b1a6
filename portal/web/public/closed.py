"""The page for when nothing else works: phone, hours, and what is safe to do, in all languages at once.

It lies as a file in PORTAL_DATA_DIR/closed.html, so that a proxy can show it when the portal is down
(docs/operations.md); any page view keeps it fresh. The portal shows the same when its database is down.
"""

import logging
from pathlib import Path

from flask import Response, current_app

from portal.core import clock, texts
from portal.core.errors import PortalError
from portal.pharmacies import emergency
from portal.pharmacies.profiles import Profile
from portal.web import pages
from portal.web.public import opening
from portal.web.wiring import services

log = logging.getLogger(__name__)
FILE = "closed.html"
REFRESH_SECONDS = 3600.0
# Where the app keeps the pharmacies as they were when the database last answered.
LAST_SEEN = "portal.last-seen-pharmacies"
# What people lose, as the help pages name it: `help.lost.<one>`.
LOST = ("code", "phrase", "passkey", "pin", "all", "helper")
_WRITTEN = "portal.closed-page-written"


def page(profiles: list[Profile], *, first: str = texts.DEFAULT_LANGUAGE, why: str = "closed") -> str:
    """The page as HTML that needs nothing else to be read; the language `first` stands above the others.

    `why` it is shown: `closed`, the portal does not work; `offline`, the reader has no connection.
    """
    now = clock.now()
    countries = {profile.country for profile in profiles}
    numbers = emergency.numbers(countries.pop()) if len(countries) == 1 else None
    sections = [
        {
            "language": language,
            "say": _Speaker(language),
            "pharmacies": [(profile, opening.table(profile.opening, now, language=language)) for profile in profiles],
        }
        for language in sorted(texts.LANGUAGES, key=lambda one: one != first)
    ]
    # Not by render_template: what Flask-Login adds to every template would ask the database.
    page_of = current_app.jinja_env.get_template("static/closed.html")
    return page_of.render(sections=sections, numbers=numbers, why=why, lost=LOST)


def answer(error: PortalError) -> Response:
    """What a person gets while the database is down, from what was last seen of the pharmacies."""
    made = Response(page(current_app.extensions.get(LAST_SEEN, []), first=pages.language()), error.status)
    if error.retry_after is not None:
        made.headers["Retry-After"] = str(error.retry_after)
    return made


def keep_fresh(profiles: list[Profile]) -> None:
    """Write the file anew when the last time is an hour ago or what it says has changed. Never fails a request."""
    written = current_app.extensions.get(_WRITTEN)
    now = clock.monotonic()
    if written is not None and written[0] == profiles and now - written[1] < REFRESH_SECONDS:
        return
    current_app.extensions[_WRITTEN] = (profiles, now)
    try:
        write(services().settings.data_path, page(profiles))
    except OSError as problem:
        log.warning("closed page not written", extra={"kind": type(problem).__name__})


def write(folder: Path, html: str) -> None:
    """Put the file in place in one step, so that nobody reads half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{FILE}"
    unfinished.write_text(html, "utf-8")
    unfinished.replace(folder / FILE)


class _Speaker:
    """`say("key")` in one language, whatever the reader of this request speaks."""

    def __init__(self, language: str) -> None:
        self._language = language

    def __call__(self, key: str, **values: object) -> str:
        return texts.get(key, self._language, **values)
