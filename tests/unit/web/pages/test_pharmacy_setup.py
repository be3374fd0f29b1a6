"""Ivan opens a pharmacy on the screen, Grace in charge of it fills in the rest, and the checklist keeps its place."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from world import World
from world_keys import Keys
from world_threads import Threads
from world_web import Browser

from portal.audit.tables import AuditEvent
from portal.care import checking
from portal.core import clock
from portal.core.errors import Unprocessable
from portal.outbox.jobs import Job
from portal.pharmacies import checklist, connections, profiles
from portal.pharmacies.checklist import Step
from portal.pharmacies.tables import EhrCheck

NEW = {
    "id": "lakeside",
    "name": "Lakeside Pharmacy",
    "address": "2 Shore Road",
    "phone": "+1 555 0400",
    "country": "US",
    "time_zone": "America/Chicago",
    "languages": "es",
}
BrowserOf = Callable[[str], Browser]


def done(world: World, pharmacy_id: str) -> set[Step]:
    with world.database.reading() as session:
        return {one.step for one in checklist.of(session, pharmacy_id) if one.done}


def test_ivan_opens_a_pharmacy_and_lands_on_its_checklist(browser_of: BrowserOf, world: World) -> None:
    ivan = browser_of("ivan")
    answer = ivan.fill("/pharmacies", NEW)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/pharmacies/lakeside")
    page = ivan.get("/pharmacies/lakeside").get_data(as_text=True)
    assert "Not offered to patients yet" in page
    assert "Opening hours, Set up the pharmacists’ team" in page
    assert done(world, "lakeside") == {Step.PROFILE}
    # It keeps its place: the first step that is open is where one goes on.
    assert 'href="/pharmacies/lakeside/hours">Go on: Opening hours' in page


def test_the_checklist_waits_for_who_is_invited_and_goes_on_past_what_others_do(
    browser_of: BrowserOf, world: World
) -> None:
    ivan = browser_of("ivan")
    ivan.fill("/pharmacies", NEW)
    always = {f"{day}-always": "on" for day in ("sat", "sun")}
    ivan.fill("/pharmacies/lakeside/hours", {"mon-1-from": "08:00", "mon-1-until": "19:00", "same": "on", **always})
    with world.database.reading() as session:
        week = profiles.get(session, "lakeside").week or {}
    assert week["tue"] == week["fri"] == [["08:00", "19:00"]]
    ivan.fill("/pharmacies/lakeside/holidays", {"act": "done"})
    ivan.fill("/pharmacies/lakeside/topics", {"topic": ["refill"]})
    ivan.fill("/pharmacies/lakeside/connection", {"base_url": "https://ehr.example/fhir", "auth": "none"})
    with world.database.transaction() as session:
        session.query(EhrCheck).update({"done_at": clock.now(), "findings": [{"what": "statement", "light": "green"}]})
    assert "Go on: Invite the first people" in ivan.get("/pharmacies/lakeside").get_data(as_text=True)
    invited = {"name": "Nora", "mail": "nora@example.org", "role": "pharmacist", "language": "en"}
    assert ivan.fill("/pharmacies/lakeside/staff/invite", invited).status_code == 303
    page = ivan.get("/pharmacies/lakeside").get_data(as_text=True)
    assert "Invited, not here yet" in page
    assert "Go on:" not in page
    assert "Your part is done." in page


def test_bob_is_told_who_sets_up_the_teams_that_he_cannot(browser_of: BrowserOf) -> None:
    page = browser_of("bob").get("/pharmacies/riverside").get_data(as_text=True)
    assert "Set up by: Privacy officer." in page
    assert 'href="/team">Set up the desk’s team' in page
    assert '<p class="item__name">Set up the privacy team</p>' in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("id", "Lake Side", "small letters or digits"),
        ("id", "riverside", "short name already"),
        ("name", " ", "Give the name"),
        ("phone", "call us", "Give phone numbers"),
        ("country", "us", "Pick a country"),
        ("country", "", "Pick a country"),
        ("time_zone", "Chicago", "Pick a time zone"),
        ("languages", "", "at least one language"),
        ("licence_url", "http://register.example", "starts with https://"),
        ("licence_number", "9" * 201, "starts with https://"),
    ],
)
def test_what_is_wrong_comes_back_with_what_was_typed(
    browser_of: BrowserOf, world: World, field: str, value: str, says: str
) -> None:
    answer = browser_of("ivan").fill("/pharmacies", {**NEW, field: value})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert says in page
    assert "2 Shore Road" in page or field == "address"
    with world.database.reading() as session:
        assert "lakeside" not in {one.id for one in profiles.everyone(session)}


def test_a_pharmacy_of_any_country_keeps_it_when_its_profile_is_saved(browser_of: BrowserOf) -> None:
    ivan = browser_of("ivan")
    for language, chosen in (("en-MX", '"MX" selected>Mexico'), ("en", '"">Pick a country')):
        page = ivan.client.get("/pharmacies", headers={"Accept-Language": language}).get_data(as_text=True)
        assert f"<option value={chosen}</option>" in page
    ivan.fill("/pharmacies", {**NEW, "country": "JP", "time_zone": "Asia/Tokyo"})
    page = ivan.get("/pharmacies/lakeside/profile").get_data(as_text=True)
    assert '<option value="JP" selected>Japan</option>' in page
    # In the order of names as the reader says them, and nothing that is no country.
    assert page.index(">Åland Islands<") < page.index(">Albania<") < page.index(">Germany<") < page.index(">Zimbabwe<")
    assert 'value="EU"' not in page


def test_who_is_in_charge_finds_the_checklist_and_others_do_not(browser_of: BrowserOf) -> None:
    grace = browser_of("grace")
    assert 'href="/pharmacies/riverside"' in grace.get("/account").get_data(as_text=True)
    page = grace.get("/pharmacies/riverside").get_data(as_text=True)
    assert 'href="/team"' in page
    assert 'href="/pharmacies"' not in page
    assert "/pharmacies/" not in browser_of("frank").get("/account").get_data(as_text=True)


def test_grace_sets_hours_holidays_and_topics(browser_of: BrowserOf, world: World) -> None:
    grace = browser_of("grace")
    hours = {"mon-1-from": "08:00", "mon-1-until": "12:00", "mon-2-from": "13:00", "mon-2-until": "00:00"}
    assert grace.fill("/pharmacies/riverside/hours", {**hours, "sun-always": "on"}).status_code == 303
    assert grace.fill("/pharmacies/riverside/topics", {"topic": ["refill", "order"]}).status_code == 303
    added = {"act": "add", "day": "2027-07-05", "name": "Day after the fourth"}
    assert grace.fill("/pharmacies/riverside/holidays", added).headers["Location"].endswith("/holidays")
    assert grace.fill("/pharmacies/riverside/holidays", {"act": "done"}).headers["Location"].endswith("?saved=1")
    with world.database.reading() as session:
        known = profiles.get(session, "riverside")
        rows = session.query(AuditEvent).filter_by(action="pharmacy.changed", account_id=world.accounts["grace"])
        assert rows.count() == 4
    assert known.week == {"mon": [["08:00", "12:00"], ["13:00", "24:00"]], "sun": [["00:00", "24:00"]]}
    assert known.topics == ("refill", "order")
    assert {day.isoformat() for day in known.holidays or {}} >= {"2027-07-05"}
    assert {Step.HOURS, Step.HOLIDAYS, Step.TOPICS} <= done(world, "riverside")
    assert grace.fill("/pharmacies/riverside/holidays", {"drop": "2027-07-05"}).status_code == 303
    assert "Day after the fourth" not in grace.get("/pharmacies/riverside/holidays").get_data(as_text=True)


@pytest.mark.parametrize(
    "hours",
    [
        {},
        {"mon-1-from": "08:00"},
        {"mon-1-from": "12:00", "mon-1-until": "08:00"},
        {"mon-1-from": "08:00", "mon-1-until": "12:00", "mon-2-from": "11:00", "mon-2-until": "13:00"},
        {"mon-1-from": "8", "mon-1-until": "25:00"},
    ],
)
def test_hours_that_cannot_be_are_refused_and_kept_on_the_page(
    browser_of: BrowserOf, world: World, hours: dict[str, str]
) -> None:
    answer = browser_of("grace").fill("/pharmacies/riverside/hours", hours)
    assert answer.status_code == 422
    assert "Give both times of each span" in answer.get_data(as_text=True)
    for value in hours.values():
        assert f'value="{value}"' in answer.get_data(as_text=True)
    with world.database.reading() as session:
        assert profiles.get(session, "riverside").week is not None


def test_the_profile_page_changes_the_profile_and_nothing_else(browser_of: BrowserOf, world: World) -> None:
    with world.database.reading() as session:
        before = profiles.get(session, "riverside")
    given = {
        **NEW,
        "parents_until_age": "16",
        "on_call_phone": "+1 555 0101",
        "licence_number": "RX-1",
        "licence_url": "https://r.example/1",
    }
    assert browser_of("grace").fill("/pharmacies/riverside/profile", given).status_code == 303
    with world.database.reading() as session:
        after = profiles.get(session, "riverside")
    assert after.name == "Lakeside Pharmacy"
    assert after.parents_until_age == 16
    for wrong in ("19", "x", "11", "-5"):
        refused = browser_of("grace").fill("/pharmacies/riverside/profile", {**given, "parents_until_age": wrong})
        assert refused.status_code == 422
        assert "Enter an age from 12" in refused.get_data(as_text=True)
    assert after.licence == {"number": "RX-1", "url": "https://r.example/1"}
    assert (after.id, after.week, after.holidays) == ("riverside", before.week, before.holidays)


def test_a_pharmacy_is_offered_with_hours_and_a_team_key_only(world: World) -> None:
    keys = Keys(world)
    keys.enrol("bob", "carol")
    keys.team("riverside_pharmacists", "bob", "bob")
    keys.team("harbor_pharmacists", "carol", "carol")
    with world.database.transaction() as session:
        agent = world.actor("ivan").agent
        profiles.change(session, agent=agent, profile=replace(profiles.get(session, "harbor"), week=None))
    with world.database.reading() as session:
        assert checklist.offered(session, profiles.everyone(session)) == {"riverside"}


def test_a_pharmacy_without_hours_begins_nothing_with_somebody_new(world: World) -> None:
    keys = Keys(world)
    keys.enrol("carol", "alice", "dave")
    keys.team("harbor_pharmacists", "carol", "carol")
    with world.database.transaction() as session:
        agent = world.actor("ivan").agent
        profiles.change(session, agent=agent, profile=replace(profiles.get(session, "harbor"), week=None))
    threads = Threads(keys)
    with pytest.raises(Unprocessable, match="pharmacy-not-open"):
        threads.start("alice", "alice", "Are you there?", pharmacy="harbor")
    # Dave is in its care already.
    assert threads.start("dave", "dave", "Are you there?", pharmacy="harbor").thread_id


def test_patients_are_told_what_a_pharmacy_takes(browser_of: BrowserOf, world: World) -> None:
    keys = Keys(world)
    keys.enrol("bob", "alice")
    keys.team("riverside_pharmacists", "bob", "bob")
    browser_of("grace").fill("/pharmacies/riverside/topics", {"topic": ["refill"]})
    items = {one["id"]: one for one in browser_of("alice").get("/api/pharmacies").get_json()["items"]}
    assert (items["riverside"]["offered"], items["riverside"]["topics"]) == (True, ["refill"])
    assert items["harbor"]["offered"] is False
    threads = Threads(keys)
    with pytest.raises(Unprocessable, match="topic-not-offered"):
        threads.start("alice", "alice", "May I?")
    assert threads.start("bob", "alice", "Please come in").thread_id


def test_the_operator_connects_an_ehr_and_the_worker_tests_it(browser_of: BrowserOf, world: World) -> None:
    ivan = browser_of("ivan")
    bad = ivan.fill("/pharmacies/riverside/connection", {"base_url": "ftp://x", "auth": "none"})
    assert bad.status_code == 422
    assert "ftp://x" in bad.get_data(as_text=True)
    good = {"base_url": "http://127.0.0.1:9/fhir", "auth": "none"}
    assert ivan.fill("/pharmacies/riverside/connection", good).status_code == 303
    assert "runs in the background" in ivan.get("/pharmacies/riverside/connection").get_data(as_text=True)
    with world.database.reading() as session:
        connection = connections.of_pharmacy(session, "riverside")
        assert connection is not None
        assert connection.base_url == "http://127.0.0.1:9/fhir"

    class Readers:
        def client(self, address: object) -> object:
            return object()

    findings = [checking.Finding("statement", checking.Light.RED, "connection")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "examine", lambda client: findings)
        job = Job("1", checking.JOB, {"connection": connection.id}, "riverside", 1, clock.now())
        checking.CheckConnection(world.database, Readers())(job)  # type: ignore[arg-type]
    page = browser_of("grace").get("/pharmacies/riverside/connection").get_data(as_text=True)
    assert "Does not work" in page
    assert "Nobody answers at this address" in page
    assert "Save and test" not in page
    assert Step.CONNECTION not in done(world, "riverside")
    with world.database.transaction() as session:
        session.get_one(EhrCheck, connection.id).findings = [{"what": "batch", "light": "amber", "why": "no-batch"}]
    assert Step.CONNECTION in done(world, "riverside")


def test_the_checklist_names_what_the_portal_does_not_know_for_a_country(browser_of: BrowserOf, world: World) -> None:
    ivan = browser_of("ivan")
    ivan.fill("/pharmacies", NEW)
    assert "What the portal does not know" not in ivan.get("/pharmacies/lakeside").get_data(as_text=True)
    ivan.fill("/pharmacies", {**NEW, "id": "seaside", "country": "UY"})
    page = ivan.get("/pharmacies/seaside").get_data(as_text=True)
    assert "What the portal does not know for Uruguay" in page
    for gap in ("The emergency number.", "A poison help number.", "Where patients can complain.", "18 counts now."):
        assert gap in page
