"""docs/operations.md tells every setting, command and table; its times are those of the code."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from portal import cli
from portal.accounts import invitations, recovery
from portal.core import settings
from portal.core.database import Base
from portal.identity import sessions
from portal.outbox import dead_letters
from portal.pharmacies import staff_invitations
from portal.threads import attachments, retention

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    part = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in part.split("\n") if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_setting_has_its_line_with_what_holds_without_it() -> None:
    told = {row[0].strip("` "): row[1] for row in rows("Settings")}
    assert list(told) == list(settings.variables())
    for member in settings.Settings.__dataclass_fields__.values():
        said = told[member.metadata["variable"]]
        if member.default == "":
            assert said.startswith(("empty", "the host of")), member.name
        else:
            assert said == f"`{member.default}`", member.name


def test_every_command_has_its_line() -> None:
    named = [command for row in rows("Commands of the operator") for command in re.findall(r"`(.+?)`", row[0])]
    told = {command.split()[1] for command in named}
    there = next(action for action in cli._parser()._actions if action.dest == "command").choices
    assert there is not None
    assert told == set(there)


def test_every_table_has_its_line() -> None:
    import portal.app  # noqa: F401  brings all tables in

    told = [table for row in rows("Retention") for table in re.findall(r"`(\w+)`", row[0])]
    assert len(told) == len(set(told))
    assert sorted(told) == sorted(Base.metadata.tables)


@pytest.mark.parametrize(
    ("table", "time", "words"),
    [
        ("accepted_key", retention.KEEP_ACCEPTED_KEYS, "30 days"),
        ("login_session", sessions.KEEP_ENDED, "30 days"),
        ("outbox_job", dead_letters.KEEP_FINISHED, "7 days"),
        ("attachment", attachments.ORPHAN_AGE, "24 hours"),
        ("redeem_failure", invitations.CODE_CLOSED, "24 hours"),
        ("recovery_read", recovery.DAY, "24 hours"),
        ("invitation", invitations.LIVES, "7 days"),
        ("staff_invitation", staff_invitations.KEPT_UNUSED, "30 days"),
    ],
)
def test_times_are_those_of_the_code(table: str, time: timedelta, words: str) -> None:
    line = next(" | ".join(row) for row in rows("Retention") if f"`{table}`" in row[0])
    number, unit = words.split()
    assert time == timedelta(**{unit: int(number)})
    assert words in line
