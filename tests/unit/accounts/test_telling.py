"""Alice says what she wants to be told, and when nothing may come that can wait."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from world import World, build

from portal.accounts import telling
from portal.accounts.tables import Account
from portal.accounts.telling import Channel, Kind, Quiet
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import BadInput

EVERYTHING = {(kind, channel): True for kind in Kind for channel in Channel}
NO_MESSAGES = EVERYTHING | {(Kind.MESSAGE, Channel.MAIL): False}


@pytest.fixture
def world(database: Database) -> World:
    return build(database)


def choose(world: World, wanted: dict[tuple[Kind, Channel], bool], start: str = "", end: str = "") -> None:
    with world.database.transaction() as session:
        telling.choose(session, actor=world.actor("alice"), wanted=wanted, quiet=(start, end), zone="America/Chicago")


def test_whoever_has_chosen_nothing_is_told_everything(world: World) -> None:
    with world.database.reading() as session:
        assert telling.of(session, world.accounts["alice"]) == telling.Choices(EVERYTHING, None)


def test_what_is_chosen_is_kept_and_put_on_record_once(world: World) -> None:
    for _ in range(2):
        choose(world, NO_MESSAGES, "22:00", "07:00")
    with world.database.reading() as session:
        kept = telling.of(session, world.accounts["alice"])
        assert kept == telling.Choices(NO_MESSAGES, Quiet("22:00", "07:00"))
        assert not telling.wants(session, world.accounts["alice"], Kind.MESSAGE, Channel.MAIL)
        assert telling.wants(session, world.accounts["alice"], Kind.REMINDER, Channel.MAIL)
        assert telling.wants(session, world.accounts["dave"], Kind.MESSAGE, Channel.MAIL)
        (noted,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "settings.changed"))
    assert (noted.account_id, noted.detail) == (world.accounts["alice"], {"changed": ["message-mail", "quiet"]})
    choose(world, EVERYTHING)
    with world.database.reading() as session:
        assert telling.of(session, world.accounts["alice"]) == telling.Choices(EVERYTHING, None)


@pytest.mark.parametrize(
    ("start", "end"), [("22:00", ""), ("", "07:00"), ("22:00", "22:00"), ("24:00", "07:00"), ("9:00", "10:00")]
)
def test_quiet_hours_that_cannot_be(world: World, start: str, end: str) -> None:
    with pytest.raises(BadInput):
        choose(world, NO_MESSAGES, start, end)
    with world.database.reading() as session:
        assert telling.of(session, world.accounts["alice"]) == telling.Choices(EVERYTHING, None)


@pytest.mark.parametrize(
    ("now", "start", "end", "until"),
    [
        # In Chicago it is six hours earlier in winter.
        ("2026-01-10T03:59", "22:00", "07:00", None),
        ("2026-01-10T04:00", "22:00", "07:00", "2026-01-10T13:00"),
        ("2026-01-10T12:59", "22:00", "07:00", "2026-01-10T13:00"),
        ("2026-01-10T13:00", "22:00", "07:00", None),
        ("2026-01-10T18:30", "12:00", "13:00", "2026-01-10T19:00"),
        ("2026-01-10T17:59", "12:00", "13:00", None),
        # The clocks go forward, and back, in the night: it ends at seven by the clock on the wall.
        ("2026-03-08T05:00", "22:00", "07:00", "2026-03-08T12:00"),
        ("2026-11-01T04:00", "22:00", "07:00", "2026-11-01T13:00"),
    ],
)
def test_they_begin_and_end_by_the_clock_on_the_wall(
    world: World, now: str, start: str, end: str, until: str | None
) -> None:
    choose(world, EVERYTHING, start, end)
    with clock.frozen(datetime.fromisoformat(now).replace(tzinfo=UTC)), world.database.reading() as session:
        ends = telling.quiet_until(session.get_one(Account, world.accounts["alice"]))
    assert ends == (None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC))


def test_whoever_lives_in_another_zone_is_left_in_peace_there(world: World) -> None:
    choose(world, EVERYTHING, "22:00", "07:00")
    with world.database.transaction() as session:
        session.get_one(Account, world.accounts["alice"]).time_zone = "Europe/Madrid"
    with clock.frozen(datetime(2026, 1, 10, 22, tzinfo=UTC)), world.database.reading() as session:
        ends = telling.quiet_until(session.get_one(Account, world.accounts["alice"]))
    assert ends == datetime(2026, 1, 11, 6, tzinfo=UTC)
