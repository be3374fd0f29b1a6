"""The stage on which states and journeys are walked: one portal, a browser profile for each person, and its levers."""

import json
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from complaints import Complaints
from demo_world import Demo, confirm_with, get_code, give_password, team
from patience import until
from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, expect
from running import SOON, on_own_device

WIDE = {"width": 1280, "height": 900}


class Stage:
    """A demo portal and the people in front of it. `complaints` hears all browsers."""

    def __init__(self, demo: Demo, browser: Browser, complaints: Complaints) -> None:
        self.demo = demo
        self.complaints = complaints
        self._browser = browser
        self._contexts: dict[str, BrowserContext] = {}
        self._pages: dict[str, Page] = {}
        self._signed_in: set[str] = set()
        self._ready: set[str] = set()
        self.codes: dict[str, str] = {}
        self.kept: dict[str, str] = {}

    def page(self, profile: str, *, asked: bool = False, **options: Any) -> Page:
        """The page of a browser profile; the same name gives the same page, without anything a state put in its way.

        In a new profile that is `asked` the person says whose device it is; in the others it is the person's own.
        """
        if profile not in self._pages:
            settled = {"base_url": self.demo.url, "viewport": WIDE, "locale": "en-US", "timezone_id": "America/Chicago"}
            context = self._browser.new_context(**{**settled, **options})
            context.set_default_timeout(SOON)
            if not asked:
                on_own_device(context)
            self.complaints.listen(context)
            self._contexts[profile] = context
            self._pages[profile] = context.new_page()
        page = self._pages[profile]
        page.unroute_all(behavior="ignoreErrors")
        self._contexts[profile].set_offline(False)
        page.set_viewport_size(options.get("viewport", WIDE))
        return page

    def forget_login(self, profile: str) -> None:
        """The session of a profile is over: who comes next signs in."""
        self._signed_in.discard(profile)

    def forget(self, profile: str) -> None:
        """The profile is deleted from its disk."""
        self._pages.pop(profile)
        self._contexts.pop(profile).close()
        self._signed_in.discard(profile)
        self._ready.discard(profile)

    def begins_again(self, login: str, path: str) -> Page:
        """Somebody at a new browser, whose code is lost too, starts again with new keys; the page at `path`."""
        self.forget(login)
        page = self.at(login, path)
        page.get_by_text("I have none of these any more: start again").click()
        page.get_by_text("I understand that this cannot be taken back").click()
        page.get_by_role("button", name="Start again with new keys").click()
        page.wait_for_url(f"**{path}")
        self.codes.pop(login, None)
        return page

    def offline(self, profile: str) -> None:
        """Cut the line of a profile, until `online` or until its page is asked for again."""
        self._contexts[profile].set_offline(True)

    def online(self, profile: str) -> None:
        """The line of a profile is back."""
        self._contexts[profile].set_offline(False)

    def at(self, profile: str, path: str, *, login: str | None = None) -> Page:
        """`profile` at `path`, signed in as the person of that name (or `login`)."""
        page = self.page(profile)
        if profile in self._signed_in:
            page.goto(path)
            return page
        page.goto(f"/login?next={path}")
        give_password(page, login or profile)
        page.wait_for_url(f"{self.demo.url}/**")
        self._signed_in.add(profile)
        return page

    def fresh(self, profile: str, path: str) -> Page:
        """As `at`, having signed in just now."""
        page = self.at(profile, "/home")
        page.goto(f"/step-up?next={path}")
        give_password(page, profile)
        page.wait_for_url(f"{self.demo.url}{path}")
        return page

    def with_keys(self, profile: str, path: str) -> Page:
        """As `at`; waits until the client's page stands at `path`, first keys being made on the way."""
        page = self.at(profile, path)
        until(page, lambda: _stands_at(page, path.partition("?")[0]), f"{profile} comes to {path}")
        return page

    def ready(self, profile: str) -> Page:
        """The page of somebody who has signed in and has keys, empty: what is put in its way holds for the next one."""
        if profile not in self._ready:
            self.with_keys(profile, "/devices")
            self._ready.add(profile)
        return shown(self.page(profile), "about:blank")

    def tab(self, profile: str) -> Page:
        """One more tab of somebody who has signed in and has keys; whoever asks for it closes it."""
        self.ready(profile)
        return self._contexts[profile].new_page()

    def with_code(self, who: str) -> str:
        """The recovery code of somebody, made at the first time."""
        if who not in self.codes:
            page = self.with_keys(who, "/recovery")
            self.codes[who] = get_code(page)
        return self.codes[who]

    def found_team(self, who: str, kind: str = "pharmacists") -> None:
        """Somebody founds a team of Riverside."""
        code = self.with_code(who)
        page = self.with_keys(who, "/team")
        team(page, kind).get_by_role("button", name="Set up this team").click()
        confirm_with(page, code)
        expect(team(page, kind)).to_have_attribute("data-gen", "1")

    def founded(self) -> None:
        """Bob has founded the pharmacists of Riverside."""
        if "founded" not in self.kept:
            self.found_team("bob")
            self.kept["founded"] = "yes"

    def just_now(self, login: str) -> None:
        """The logins of a person are as if they had been just now, however long the machine has taken since."""
        self.demo.just_now(login)

    def grow_old(self, login: str) -> None:
        """The last sign-in of somebody was longer ago than what is called fresh."""
        self.write(
            "UPDATE login_session SET auth_time = '2020-01-01 00:00:00.000000' WHERE ended_at IS NULL AND account_id = "
            "(SELECT id FROM account WHERE email = ?)",
            f"{login}@demo.example",
        )

    def handed(self, name: str) -> Page:
        """Bob lets somebody in who has not opened messages yet: he stands before the sheet with the code."""
        self.founded()
        page = self.with_keys("bob", "/team")
        team(page).locator("summary").filter(has_text="not opened messages yet").click()
        team(page).get_by_role("button", name=f"Let in {name} with a code").click()
        confirm_with(page, self.with_code("bob"))
        page.locator("[data-handed] .code-groups").wait_for()
        return page

    def joined(self, login: str, yes: bool) -> None:
        """Whether the account of somebody who has signed in is joined to its patient."""
        self.at(login, "/account")
        ends = None if yes else datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        self.write(
            "UPDATE relation SET ends_at = ? WHERE account_id = (SELECT id FROM account WHERE email = ?)",
            ends,
            f"{login}@demo.example",
        )

    def helps(self, helper: str, patient: str, scope: str = "messages") -> None:
        """Somebody who has signed in acts for somebody else's patient."""
        ids = [
            self.read("SELECT id FROM account WHERE email = ?", f"{who}@demo.example")[0][0]
            for who in (helper, patient)
        ]
        (row,) = self.read("SELECT patient_id FROM relation WHERE account_id = ? AND kind = 'self'", ids[1])
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        self.write(
            "INSERT OR REPLACE INTO relation (id, account_id, patient_id, kind, scope, starts_at, by_age)"
            " VALUES (?, ?, ?, 'carer', ?, ?, 0)",
            f"{'c' * 16}{ids[0][:16]}",
            ids[0],
            row[0],
            scope,
            now,
        )

    def ehr(self, mode: str, delay: float | None = None) -> None:
        """Make the FHIR sandbox `normal`, `slow` (by `delay` seconds), `down` or `conflict`."""
        port = (urlsplit(self.demo.url).port or 0) + 2
        body = json.dumps({"mode": mode} | ({} if delay is None else {"delay": delay})).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/fhir/$control", data=body, method="POST")
        urllib.request.urlopen(asked, timeout=5).close()

    def speak(self, page: Page, language: str) -> None:
        """Everybody reads `language` from the next page on."""
        self.write("UPDATE account SET language = ?", language)
        page.context.add_cookies([{"name": "portal_language", "value": language, "url": self.demo.url}])

    def write(self, statement: str, *values: object) -> None:
        """Change the portal's database behind its back."""
        with sqlite3.connect(self.demo.database, timeout=20) as rows:
            rows.execute(statement, values)
        rows.close()

    def read(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the portal's database."""
        with sqlite3.connect(self.demo.database, timeout=20) as rows:
            found = rows.execute(statement, values).fetchall()
        rows.close()
        return found

    def close(self) -> None:
        """End all browser profiles; what was still on its way through a state's hands is nobody's loss."""
        for page in self._pages.values():
            page.unroute_all(behavior="ignoreErrors")
        for context in self._contexts.values():
            context.close()


def _stands_at(page: Page, path: str) -> bool:
    try:
        here, drawn = page.evaluate("[location.pathname, document.querySelector('main h1') !== null]")
    except Error:
        # It is on its way to another page just now.
        return False
    return bool(here == path and drawn)


@contextmanager
def on_stage(demo: Demo, browser: Browser, complaints: Complaints) -> Iterator[Stage]:
    """A stage that is cleared away afterwards."""
    stage = Stage(demo, browser, complaints)
    try:
        yield stage
    finally:
        stage.close()


@contextmanager
def founded_stage(demo: Demo, browser: Browser, *allowed: str) -> Iterator[Stage]:
    """A stage on which Bob has founded the pharmacists; nobody may complain but of what a pattern of `allowed` fits."""
    heard = Complaints()
    for pattern in allowed:
        heard.allow(pattern)
    with on_stage(demo, browser, heard) as stage:
        stage.founded()
        yield stage
    assert heard.unexpected() == []


def shown(page: Page, path: str) -> Page:
    """The page at a path."""
    page.goto(path)
    return page


def answer_with(page: Page, pattern: str, change: Callable[[Any], Any]) -> None:
    """Let the JSON answers to `pattern` arrive changed."""

    def handle(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=change(answer.json()))

    page.route(pattern, handle)


def refuse(page: Page, pattern: str, status: int, code: str) -> None:
    """Let requests to `pattern` be refused with a problem."""
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": ""}
    page.route(pattern, lambda route: route.fulfill(status=status, json=body, content_type="application/problem+json"))


def cut(page: Page, pattern: str) -> None:
    """Let requests to `pattern` fail as without a line."""
    page.route(pattern, lambda route: route.abort())
