"""Recovery sheets, as people make them and type them in."""

import json

from demo_world import confirm_with
from playwright.sync_api import Page, expect
from stage import Stage

# Of Riverside, for its staff and the operator.
PAGE = "/pharmacies/riverside/recovery"
HOLDERS = ("Bob Rivera", "Grace Kim", "the safe at the bank")


def afresh(stage: Stage, who: str, path: str = PAGE) -> Page:
    """Somebody at a page, as if signed in just now."""
    stage.at(who, "/account")
    stage.just_now(who)
    return stage.at(who, path)


def beginning(stage: Stage, who: str = "bob") -> Page:
    """Somebody is about to make sheets: who holds them is asked next."""
    stage.founded()
    code = stage.with_code(who)
    stage.with_keys(who, "/sheets")
    page = afresh(stage, who, "/sheets")
    page.get_by_role("button", name="Begin").click()
    confirm_with(page, code)
    page.locator("#holder-1").wait_for()
    return page


def printing(stage: Stage) -> Page:
    """Bob stands before the three sheets, which are shown this once."""
    return name_holders(beginning(stage))


def name_holders(page: Page) -> Page:
    """Say who holds the sheets; they are shown next."""
    for number, holder in enumerate(HOLDERS, start=1):
        page.locator(f"#holder-{number}").fill(holder)
    page.get_by_role("button", name="Make them now").click()
    page.locator("[data-sheet='3']").wait_for()
    return page


def on_paper(page: Page) -> list[str]:
    """What stands on each of the sheets that are shown."""
    return [
        "\n".join(page.locator(f"[data-sheet='{number}'] .sheet-lines li").all_inner_texts()) for number in (1, 2, 3)
    ]


def type_two(page: Page, one: str, other: str, button: str = "Check") -> None:
    """Type two sheets in."""
    page.locator("#sheet-1").fill(one)
    page.locator("#sheet-2").fill(other)
    page.get_by_role("button", name=button, exact=True).click()


def finish(stage: Stage, page: Page, who: str = "bob") -> list[str]:
    """Print, type two of the sheets back, as people type; gives what stands on all three."""
    sheets = on_paper(page)
    page.get_by_role("button", name="type two back").click()
    type_two(page, sheets[0], sheets[0])
    expect(page.get_by_role("alert")).to_contain_text("the same sheet twice")
    stage.just_now(who)
    type_two(page, sheets[0].lower().replace("-", " "), sheets[2])
    page.get_by_text("The sheets work and count from now on").wait_for()
    return sheets


def made(stage: Stage) -> list[str]:
    """The sheets of Riverside, made by Bob at the first time; they open the pharmacists."""
    if "sheets" not in stage.kept:
        stage.kept["sheets"] = json.dumps(finish(stage, printing(stage)))
    sheets: list[str] = json.loads(stage.kept["sheets"])
    return sheets
