"""Oscar was invited by Bob: his first login with the invited, verified address makes him a pharmacist of Riverside."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from at_once import MANY, at_once, codes
from browsing import Browser
from first_logins import comes, oscar_says
from flask import Flask
from misbehaving import MisbehavingProvider
from sqlalchemy import select
from world import World
from world_keys import Keys

from portal.accounts.roles import Role
from portal.accounts.tables import Account
from portal.audit.tables import AuditEvent
from portal.core import clock
from portal.core.bus import MemoryBus
from portal.core.database import Database
from portal.core.errors import PortalError
from portal.core.settings import Settings
from portal.pharmacies import staff, staff_invitations, teams
from portal.pharmacies.staff_invitations import Newcomer
from portal.pharmacies.tables import StaffInvitation

NewBrowser = Callable[[], Browser]
OSCAR = Newcomer("oscar@example.org", "Oscar Bell", "pharmacist", teams=("pharmacists",))
# What a provider says that knows no roles of this portal.
PLAIN = {"roles": None, "email": "oscar@example.org", "email_verified": True}


@pytest.fixture
def keys(world: World) -> Keys:
    made = Keys(world)
    made.enrol("bob", "carol", "erin")
    made.team("riverside_pharmacists", "bob", "bob", "erin")
    made.team("harbor_pharmacists", "carol", "carol")
    return made


@pytest.fixture(autouse=True)
def invitation(world: World, keys: Keys) -> str:
    return invite(world)


def invite(world: World, who: str = "bob", newcomer: Newcomer = OSCAR) -> str:
    actor = world.actor(who)
    with world.database.transaction() as session:
        return staff_invitations.invite(session, actor=actor, pharmacy_id=str(actor.pharmacy_id), newcomer=newcomer)


def revoke(world: World, invitation: str) -> None:
    with world.database.transaction() as session:
        staff_invitations.revoke(session, actor=world.actor("bob"), pharmacy_id="riverside", invitation_id=invitation)


def row(database: Database, invitation: str) -> StaffInvitation:
    with database.reading() as session:
        return session.get_one(StaffInvitation, invitation)


def account(database: Database, subject: str = "oscar") -> Account | None:
    with database.reading() as session:
        return session.scalar(select(Account).where(Account.subject == subject))


def reasons(database: Database) -> list[str | None]:
    with database.reading() as session:
        return list(session.scalars(select(AuditEvent.reason).where(AuditEvent.action == "login.failed")))


def test_the_first_login_gets_role_pharmacy_and_seat_from_the_invitation(
    new_browser: NewBrowser, database: Database, invitation: str, world: World
) -> None:
    mine = new_browser()
    assert mine.sign_in("oscar", start="/login?next=/team", **PLAIN).status_code == 303
    said = mine.session()["account"]
    used = row(database, invitation)
    assert (said["id"], said["role"], said["pharmacy"]) == (used.account_id, "pharmacist", "riverside")
    assert used.used_at is not None
    with database.reading() as session:
        assert teams.seats_of(session, said["id"]) == {"riverside_pharmacists": teams.State.APPROVED}
        rows = session.scalars(select(AuditEvent).where(AuditEvent.account_id == said["id"]).order_by(AuditEvent.seq))
        assert [one.action for one in rows] == ["account.created", "staff.joined", "login.succeeded"]
        (yes,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "team.asked"))
        assert (yes.account_id, yes.detail) == (world.accounts["bob"], {"account": said["id"], "approved": True})
    # The day after the provider still knows no roles: the portal's own row decides.
    mine.submit("/logout")
    assert mine.sign_in("oscar", **PLAIN).status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "OSCAR@Example.ORG"},
        {"roles": []},
        {"roles": ["offline_access", "astronaut"]},
        {"roles": ["pharmacist"]},
        {"roles": ["pharmacist"], "pharmacy": "riverside"},
        {"pharmacy": "riverside"},
    ],
)
def test_what_the_token_says_besides_may_agree(
    new_browser: NewBrowser, database: Database, invitation: str, claims: dict[str, Any]
) -> None:
    mine = new_browser()
    assert mine.sign_in("oscar", **{**PLAIN, **claims}).status_code == 303
    assert mine.session()["account"]["id"] == row(database, invitation).account_id
    assert mine.session()["account"]["role"] == "pharmacist"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"email_verified": False}, "login-no-role"),
        ({"email_verified": "true"}, "login-no-role"),
        ({"email_verified": None}, "login-no-role"),
        ({"email": None}, "login-no-role"),
        ({"email": "oscar@example.org.evil.test"}, "login-no-role"),
        ({"email": "oscar+relief@example.org"}, "login-no-role"),
        ({"email": "оscar@example.org"}, "login-no-role"),  # a Cyrillic о
        ({"email": "ｏscar@example.org"}, "login-no-role"),  # a full-width o
        ({"email": "oscar@exampl\u0435.org"}, "login-no-role"),
        ({"email": "oscar@example.org\u200b"}, "login-no-role"),
        ({"roles": ["pharmacist", "supervisor"]}, "login-no-role"),
        ({"roles": ["pharmacist", "patient"]}, "login-no-role"),
        ({"pharmacy": "harbor"}, "login-no-role"),
        # As today: these claims stand for themselves, and need a pharmacy.
        ({"roles": ["technician"]}, "login-no-pharmacy"),
        ({"roles": ["supervisor"]}, "login-no-pharmacy"),
    ],
)
def test_what_does_not_agree_is_as_if_nobody_had_been_invited(
    new_browser: NewBrowser, database: Database, invitation: str, claims: dict[str, Any], code: str
) -> None:
    page = new_browser().sign_in("oscar", **{**PLAIN, **claims})
    assert page.status_code == 403
    assert reasons(database) == [code]
    assert account(database) is None
    assert row(database, invitation).used_at is None


def test_another_role_of_the_token_makes_the_account_that_it_always_made(
    new_browser: NewBrowser, database: Database, invitation: str
) -> None:
    mine = new_browser()
    mine.sign_in("oscar", **{**PLAIN, "roles": ["patient"]})
    assert mine.session()["account"]["role"] == "patient"
    other = new_browser()
    other.sign_in("otto", **{**PLAIN, "roles": ["pharmacist"], "pharmacy": "harbor"})
    assert other.session()["account"]["pharmacy"] == "harbor"
    assert row(database, invitation).used_at is None


def test_an_invitation_that_is_used_taken_back_or_over_lets_nobody_in(
    new_browser: NewBrowser, database: Database, invitation: str, world: World
) -> None:
    stranger = new_browser().sign_in("mallory", roles=None).get_data(as_text=True)
    assert new_browser().sign_in("oscar", **PLAIN).status_code == 303
    pages = [new_browser().sign_in("oscar-again", **PLAIN)]
    revoked = invite(world, newcomer=replace(OSCAR, mail="rita@example.org"))
    revoke(world, revoked)
    pages.append(new_browser().sign_in("rita", **{**PLAIN, "email": "rita@example.org"}))
    invite(world, newcomer=replace(OSCAR, mail="sam@example.org"))
    clock.shift(staff_invitations.LIVES)
    pages.append(new_browser().sign_in("sam", **{**PLAIN, "email": "sam@example.org"}))
    for page in pages:
        assert page.status_code == 403
        assert "Your account has no access yet" in page.get_data(as_text=True)
    assert "Your account has no access yet" in stranger
    assert reasons(database) == ["login-no-role"] * 4


def test_two_pharmacies_that_invite_the_same_person_are_told_apart_by_nobody(
    new_browser: NewBrowser, database: Database, invitation: str, world: World
) -> None:
    invite(world, "carol")
    page = new_browser().sign_in("oscar", **PLAIN)
    assert page.status_code == 403
    assert "Two pharmacies have invited you" in page.get_data(as_text=True)
    assert account(database) is None
    revoke(world, invitation)
    mine = new_browser()
    assert mine.sign_in("oscar", **PLAIN).status_code == 303
    assert mine.session()["account"]["pharmacy"] == "harbor"


def test_a_token_that_names_the_pharmacy_decides_between_two(
    new_browser: NewBrowser, database: Database, world: World
) -> None:
    invite(world, "carol")
    mine = new_browser()
    assert mine.sign_in("oscar", **PLAIN, pharmacy="harbor").status_code == 303
    assert mine.session()["account"]["pharmacy"] == "harbor"


def test_the_second_factor_stays_demanded(
    app: Flask, new_browser: NewBrowser, settings: Settings, database: Database, invitation: str
) -> None:
    app.extensions["portal"].settings = replace(settings, staff_acr="gold")
    mine = new_browser()
    assert mine.sign_in("oscar", **PLAIN, acr="bronze").status_code == 403
    assert (reasons(database), account(database)) == (["login-second-factor"], None)
    assert row(database, invitation).used_at is None
    assert mine.sign_in("oscar", **PLAIN, acr="gold").status_code == 303
    assert new_browser().sign_in("oscar", **PLAIN, acr="bronze").status_code == 403


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"roles": ["patient"]}, "login-no-role"),
        ({"roles": ["operator"]}, "login-no-role"),
        ({"pharmacy": "harbor"}, "login-no-pharmacy"),
        ({"roles": ["pharmacist"], "pharmacy": "harbor"}, "login-no-pharmacy"),
    ],
)
def test_later_a_claim_may_only_take_away(
    new_browser: NewBrowser, database: Database, claims: dict[str, Any], code: str
) -> None:
    mine = new_browser()
    assert mine.sign_in("oscar", **PLAIN).status_code == 303
    mine.submit("/logout")
    assert mine.sign_in("oscar", **{**PLAIN, **claims}).status_code == 403
    assert reasons(database) == [code]
    # A refused claim is not remembered either: what was said wrongly once is put right at the provider.
    assert mine.sign_in("oscar", **PLAIN).status_code == 303
    assert mine.session()["account"]["role"] == "pharmacist"


def test_later_a_claim_gives_nothing(new_browser: NewBrowser) -> None:
    mine = new_browser()
    mine.sign_in("oscar", **PLAIN)
    mine.submit("/logout")
    assert mine.sign_in("oscar", **{**PLAIN, "roles": ["supervisor"], "pharmacy": "riverside"}).status_code == 303
    assert mine.session()["account"]["role"] == "pharmacist"


def test_what_the_provider_has_named_once_it_must_go_on_naming(new_browser: NewBrowser, database: Database) -> None:
    mine = new_browser()
    mine.sign_in("oscar", **{**PLAIN, "roles": ["pharmacist"], "pharmacy": "riverside"})
    mine.submit("/logout")
    assert mine.sign_in("oscar", **PLAIN).status_code == 403
    assert mine.sign_in("oscar", **{**PLAIN, "roles": ["pharmacist"]}).status_code == 403
    assert reasons(database) == ["login-no-role", "login-no-pharmacy"]


def test_bob_who_came_by_claims_is_refused_without_them_though_somebody_invites_his_address(
    new_browser: NewBrowser, database: Database, world: World
) -> None:
    invite(world, "carol", replace(OSCAR, mail="relief@example.org"))
    page = new_browser().sign_in("bob", roles=None, pharmacy=None, email="relief@example.org", email_verified=True)
    assert page.status_code == 403
    assert reasons(database) == ["login-no-role"]


def test_a_closed_account_stays_closed_whatever_it_is_invited_to(
    new_browser: NewBrowser, database: Database, world: World, bus: MemoryBus
) -> None:
    mine = new_browser()
    mine.sign_in("oscar", **PLAIN)
    with database.transaction() as session:
        staff.disable(session, bus=bus, account_id=mine.session()["account"]["id"])
    again = invite(world)
    assert new_browser().sign_in("oscar", **PLAIN).status_code == 403
    assert reasons(database) == ["login-disabled"]
    assert row(database, again).used_at is None


def test_who_is_closed_does_not_come_back_by_an_invitation_of_the_own(
    new_browser: NewBrowser, database: Database, world: World, bus: MemoryBus, invitation: str
) -> None:
    with database.transaction() as session:
        staff.disable(session, bus=bus, account_id=world.accounts["bob"])
    assert new_browser().sign_in("oscar", **PLAIN).status_code == 403
    assert reasons(database) == ["login-no-role"]
    with database.reading() as session:
        (noted,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "staff.uninvited"))
        assert (noted.entity_id, noted.role) == (invitation, "operator")
    # Erin, who works there still, may invite him.
    assert staff_invitations.state_of(row(database, invitation)) is staff_invitations.State.REVOKED
    invite(world, "erin")
    assert new_browser().sign_in("oscar", **PLAIN).status_code == 303


def test_a_yes_ahead_counts_as_long_as_who_gave_it_sits_in_the_team(
    new_browser: NewBrowser, database: Database, world: World
) -> None:
    with database.transaction() as session:
        teams.leave(session, actor=world.actor("bob"), team="riverside_pharmacists")
    mine = new_browser()
    mine.sign_in("oscar", **PLAIN)
    with database.reading() as session:
        assert teams.seats_of(session, mine.session()["account"]["id"]) == {}


def test_a_desk_that_does_not_exist_gives_no_seat_and_no_failure(new_browser: NewBrowser, world: World) -> None:
    # Nobody sits at the desk of Riverside, which has not been founded: Tina comes in and asks there herself.
    invite(world, newcomer=Newcomer("tina@example.org", "Tina", "technician"))
    mine = new_browser()
    assert mine.sign_in("tina", roles=None, email="tina@example.org", email_verified=True).status_code == 303
    assert mine.session()["account"]["role"] == "technician"


@pytest.mark.parametrize("same", [True, False])
def test_of_many_logins_at_once_one_uses_the_invitation(
    database: Database, provider: MisbehavingProvider, same: bool
) -> None:
    def come(number: int) -> Callable[..., Any]:
        person = oscar_says("oscar" if same else f"oscar-{number}", provider.issuer)
        return lambda session: comes(session, person)

    outcomes = at_once(database, [come(number) for number in range(MANY)])
    came = [one for one in outcomes if not isinstance(one, PortalError)]
    # The same person's other tabs come in too; other people who have the same address do not.
    assert codes(outcomes) == ([] if same else ["login-no-role"] * (MANY - 1))
    assert sum(one.created for one in came) == 1
    assert {one.role for one in came} == {Role.PHARMACIST}
    with database.reading() as session:
        assert len(session.scalars(select(Account).where(Account.email == "oscar@example.org")).all()) == 1


def test_oscars_last_day_comes_from_the_invitation(
    new_browser: NewBrowser, database: Database, world: World, invitation: str
) -> None:
    revoke(world, invitation)
    today = clock.now().date()
    invite(world, newcomer=replace(OSCAR, last_day=today + timedelta(days=2)))
    mine = new_browser()
    assert mine.sign_in("oscar", **PLAIN).status_code == 303
    kept = account(database)
    assert kept is not None
    assert kept.ends_at is not None
    clock.shift(kept.ends_at - clock.now())
    assert mine.session()["state"] == "anonymous"
    page = mine.sign_in("oscar", **PLAIN)
    assert page.status_code == 403
    assert "Your work here has ended" in page.get_data(as_text=True)
    assert "+1 555 0100" in page.get_data(as_text=True)
    assert reasons(database) == ["login-ended"]
