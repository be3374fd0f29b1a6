"""The demo world as tests of the client use it: a portal of one's own, signing in, what one types there."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checks import axe
from playwright.sync_api import Locator, Page

PASSWORD = "demo"


@dataclass(frozen=True)
class Demo:
    """A running portal with accounts and EHR data, but no keys, threads or teams."""

    url: str
    database: Path

    def lock(self, login: str) -> None:
        """Let the sessions of a person idle past every limit but the last one: they are locked when next asked for."""
        self.idle(login, timedelta(hours=2))

    def idle(self, login: str, lasting: timedelta) -> None:
        """Nobody has done anything in the sessions of a person for so long."""
        self._write(
            "UPDATE login_session SET active_at = ? WHERE account_id = "
            "(SELECT id FROM account WHERE email = ?) AND ended_at IS NULL",
            (datetime.now(UTC) - lasting).strftime("%Y-%m-%d %H:%M:%S.%f"),
            f"{login}@demo.example",
        )

    def just_now(self, login: str) -> None:
        """The logins of a person are as if they had been just now, however long the machine has taken since."""
        self._write(
            "UPDATE login_session SET auth_time = ? WHERE account_id = (SELECT id FROM account WHERE email = ?)",
            datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            f"{login}@demo.example",
        )

    def _write(self, statement: str, *values: str) -> None:
        with sqlite3.connect(self.database, timeout=20) as rows:
            changed = rows.execute(statement, values).rowcount
        rows.close()
        assert changed > 0


def sign_in(page: Page, login: str, to: str = "/home") -> None:
    """Sign in at the demo's identity provider and go on to `to`."""
    page.goto(f"/login?next={to}")
    give_password(page, login)


def give_password(page: Page, login: str) -> None:
    """Fill in the provider's form, at a login, an unlock or a step-up."""
    page.wait_for_selector("input[type=password]")
    if page.locator("#login").is_editable():
        page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.locator("form").filter(has=page.locator("#password")).get_by_role("button").click()


def sign_in_apart(page: Page, login: str) -> None:
    """Sign in in a tab of its own, as the page asks, and come back."""
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    give_password(opened.value, login)
    opened.value.get_by_role("heading", name="You are signed in again").wait_for()
    assert axe(opened.value) == []
    opened.value.close()


def act(message: Locator, name: str) -> None:
    """Do something with a message: what can be done lies behind its small button."""
    message.locator(".more__button").click()
    message.get_by_role("button", name=name).click()


def get_code(page: Page) -> str:
    """Set a recovery code on the page for it; gives the code as a person copies it from the sheet."""
    page.goto("/recovery")
    page.locator("[data-way=code]").get_by_role("button").first.click()
    return code_shown(page)


def code_shown(page: Page) -> str:
    """The code on the sheet that is shown, as a person copies it."""
    groups = page.locator(".code-groups").first
    groups.wait_for()
    return "-".join(groups.locator("li > span[aria-hidden]").all_inner_texts())


def confirm_with(page: Page, code: str) -> None:
    """Answer the dialog that asks for the recovery code; returns when it is gone."""
    dialog = page.locator("dialog")
    dialog.locator("#secret-code").fill(code)
    dialog.locator("button[type=submit]").click()
    dialog.wait_for(state="detached")


def team(page: Page, kind: str = "pharmacists") -> Locator:
    """The card of a team of Riverside."""
    return page.locator(f"[data-team=riverside_{kind}]")
