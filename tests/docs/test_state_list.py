"""docs/states.md and the walk through the states in Chromium know the same states, each with words and two ways on."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `([a-z-]+)` \|(.*)\|$", re.MULTILINE)
WALKED = re.compile(r"^@state\(\"([a-z-]+)\"", re.MULTILINE)
AT_LOGIN = re.compile(r"^for _code in \((.+?)\):", re.MULTILINE | re.DOTALL)
WAYS = 2
# Without scripts the phone number beside the one link is the second way; it is no link of the client's.
ONE_LINK = {"no-script"}


def listed() -> dict[str, list[str]]:
    """The cells of each state of the document, by name."""
    rows = ROW.findall((ROOT / "docs" / "states.md").read_text("utf-8"))
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def walked() -> set[str]:
    """The states the walk goes to."""
    files = (ROOT / "tests" / "browser").glob("test_states_*.py")
    source = "".join(path.read_text("utf-8") for path in sorted(files))
    at_login = AT_LOGIN.search(source)
    assert at_login is not None
    return {*WALKED.findall(source), *(f"login-{code}" for code in re.findall(r'"([a-z-]+)"', at_login.group(1)))}


def test_the_list_is_what_is_walked() -> None:
    assert listed().keys() == walked()


def test_each_state_is_listed_once() -> None:
    names = [name for name, _ in ROW.findall((ROOT / "docs" / "states.md").read_text("utf-8"))]
    assert sorted(names) == sorted(set(names))


def test_each_state_says_something_and_leads_on_in_two_ways() -> None:
    for name, (says, ways, how) in listed().items():
        assert re.findall("“.+?”", says), name
        assert len(re.findall("“.+?”", ways)) >= WAYS or name in ONE_LINK, name
        assert how, name
