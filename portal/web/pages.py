"""What every Jinja page can use: texts, language, dates in the reader's zone, hashed assets."""

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from unicodedata import combining, normalize
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale
from babel.dates import format_date as babel_date
from babel.dates import format_datetime as babel_datetime
from babel.dates import get_month_names, get_timezone_name
from flask import Flask, Response, g, make_response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from portal.core import clock, texts
from portal.core.errors import BadInput, PortalError, StepUpNeeded
from portal.web.assets import Assets
from portal.web.wiring import services

# As people of each language write day and time in one line.
_MOMENT = {"en": "EEE, MMM d, y, h:mm a", "es": "EEE d 'de' MMM 'de' y, H:mm"}
# Where the short names of zones are those that clocks and letters around the reader use.
_ZONES_OF = {"es": "es_US"}
LANGUAGE_COOKIE = "portal_language"
LARGE_TEXT_COOKIE = "portal_text"
_YEAR_SECONDS = 365 * 24 * 3600


def language() -> str:
    """The reader's language: chosen before (account or cookie), else the best of what the browser asks for."""
    chosen = g.get("language") or request.cookies.get(LANGUAGE_COOKIE)
    if chosen in (*texts.LANGUAGES, texts.PSEUDO_LANGUAGE):
        return str(chosen)
    return request.accept_languages.best_match(texts.LANGUAGES) or texts.DEFAULT_LANGUAGE


def keep_choice(answer: AnyResponse, cookie: str, value: str) -> None:
    """Remember a choice of language or text size in this browser for a year."""
    answer.set_cookie(
        cookie,
        value,
        max_age=_YEAR_SECONDS,
        secure=services().settings.production,
        httponly=True,
        samesite="Lax",
    )


def spoken() -> str:
    """The reader's language as calendars and the EHR's words know it: the pseudo language is no people's."""
    return texts.DEFAULT_LANGUAGE if language() == texts.PSEUDO_LANGUAGE else language()


def today() -> date:
    """The reader's calendar day."""
    return clock.now().astimezone(zone()).date()


def zone() -> ZoneInfo:
    """The reader's time zone: the account's, else that of the pharmacy in view, else UTC."""
    return ZoneInfo(g.get("time_zone") or "UTC")


def translate(key: str, **values: object) -> str:
    """The sentence `key` for the reader."""
    return texts.get(key, language(), **values)


def format_moment(moment: datetime, where: ZoneInfo | None = None) -> str:
    """A moment as date and time in the reader's zone, or another, which is named."""
    here = moment.astimezone(where or zone())
    return f"{babel_datetime(here, _MOMENT[spoken()], locale=spoken())} {_zone_name(here)}"


def _zone_name(here: datetime) -> str:
    """A zone as people of the language write it: CST, or (UTC+5:30) where the language has no short name for it."""
    name = get_timezone_name(here, width="short", locale=_ZONES_OF.get(spoken(), spoken()))
    minutes = int((here.utcoffset() or timedelta()).total_seconds()) // 60
    if name.isalpha():
        return name
    sign, size = ("−" if minutes < 0 else "+"), abs(minutes)
    return f"(UTC{sign}{size // 60}{f':{size % 60:02d}' if size % 60 else ''})"


def format_date(day: date | datetime) -> str:
    """A day for the reader."""
    if isinstance(day, datetime):
        day = day.astimezone(zone()).date()
    return babel_date(day, "long", locale=spoken())


def month_number(typed: str) -> str:
    """A typed month as digits: a name of it, or its first letters (three or more), in any language of the portal.

    A number, and what is no month, come back as typed; refusing is the caller's part.
    """
    word = typed.strip().casefold().rstrip(".")
    if len(word) < 3:
        return typed.strip()
    for spoken_in in texts.LANGUAGES:
        for number, name in get_month_names("wide", locale=spoken_in).items():
            if name.casefold().startswith(word):
                return str(number)
    return typed.strip()


def day_in(language: str, moment: datetime, zone_name: str) -> str:
    """The last whole day before `moment` in a zone, in a language that need not be the reader's: for paper."""
    last = (moment.astimezone(ZoneInfo(zone_name)) - timedelta(days=1)).date()
    return babel_date(last, "long", locale=language)


def done_of(known: Collection[str], *, problem: object = None) -> str | None:
    """What the page was asked to say was done (`?done=`), one of `known`; nothing beside a problem."""
    asked = request.args.get("done")
    return asked if asked in known and not problem else None


def errors_of(
    problem: PortalError, area: str, *, field: str = "mail", of_codes: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What is wrong with an invitation, by field; a login that is too old is no field's fault.

    A BadInput names its field, told by `<area>.error.<field>`; another problem is told at the field that `of_codes`
    gives for its code, else at `field`.
    """
    if isinstance(problem, StepUpNeeded):
        return {}
    if isinstance(problem, BadInput):
        wrong = str(problem.extra.get("field", field))
        return {wrong: translate(f"{area}.error.{wrong}")}
    return {(of_codes or {}).get(problem.code, field): translate(problem.text_key)}


def day_or_none(text: str, code: str) -> date | None:
    """The last day of a form; an empty field means none. Raises BadInput with this code."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as problem:
        raise BadInput(code, extra={"field": "last_day"}) from problem


def key_page(name: str) -> Response:
    """A static shell of the browser client: the same bytes for everyone, no data inside."""
    page = make_response(render_template("shell.html", page=name))
    page.key_page = True  # type: ignore[attr-defined]
    return page


def territory(code: str) -> str:
    """The name of a country (ISO 3166-1 alpha-2) for the reader."""
    return str(Locale.parse(spoken()).territories.get(code, code))


# What the names of territories hold beside countries and territories of ISO 3166-1: unions, groups, parts, tests.
_NO_COUNTRY = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"])


def country_names() -> list[tuple[str, str]]:
    """Countries (ISO 3166-1 alpha-2, and XK) and their names for the reader, in the order of the names."""
    return _countries_in(spoken())


def likely_country() -> str:
    """The country that the browser's languages name (en-US: US), for a field that is still empty; else nothing."""
    named = [language.split("-")[-1] for language in request.accept_languages.values()]
    return next((code for code in named if len(code) == 2 and code.isupper()), "")


@cache
def _countries_in(language: str) -> list[tuple[str, str]]:
    names = Locale.parse(language).territories.items()
    countries = [(code, str(name)) for code, name in names if len(code) == 2 and code not in _NO_COUNTRY]
    # An accent changes no place: Åland stands at A, not after Z.
    return sorted(
        countries, key=lambda one: "".join(c for c in normalize("NFD", one[1].casefold()) if not combining(c))
    )


@cache
def zone_names() -> tuple[str, ...]:
    """The time zones that people pick from: places, without the abbreviations of old systems."""
    return tuple(
        sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "SystemV/")))
    )


@cache
def zone_places() -> tuple[tuple[str, str, str], ...]:
    """The same by region: region, place as a person writes it ("New York"), zone."""
    parted = ((zone, *zone.split("/", 1)) for zone in zone_names())
    return tuple((region, place.replace("_", " ").replace("/", ", "), zone) for zone, region, place in parted)


def prepare(app: Flask) -> None:
    """Give the templates what they need."""
    assets = Assets()
    app.jinja_env.globals.update(
        t=translate,
        asset_url=assets.url,
        asset_integrity=assets.integrity,
        format_moment=format_moment,
        format_date=format_date,
        territory=territory,
    )
    app.context_processor(lambda: {"lang": language(), "large_text": _large_text()})


def _large_text() -> bool:
    return bool(g.get("large_text")) or request.cookies.get(LARGE_TEXT_COOKIE) == "large"
