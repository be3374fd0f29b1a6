"""The operator's page: how everything stands, what failed and what to do about it, and never a patient."""

from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from sqlalchemy import select
from world import World
from world_web import Browser

from portal import worker
from portal.audit.tables import AuditEvent
from portal.core import clock, texts
from portal.outbox import enqueue
from portal.outbox.tables import OutboxJob
from portal.pharmacies.tables import EhrCheck

People = Callable[[str], Browser]


def page(browser: Browser, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_ivan_sees_how_everything_stands_and_what_to_do(browser_of: People, world: World) -> None:
    html = page(browser_of("ivan"), "/operator")
    for said in (
        "its tables are those that this version expects",
        "No job waits for long",
        "It has not been tested yet",
    ):
        assert said in html
    with world.database.transaction() as session:
        enqueue(session, "staff.invitation", {"invitation": "0"})
        found = [{"what": "statement", "light": "red", "why": "connection"}]
        session.add(
            EhrCheck(
                connection_id="riverside-ehr",
                pharmacy_id="riverside",
                asked_at=clock.now(),
                done_at=clock.now(),
                findings=found,
            )
        )
    clock.shift(timedelta(minutes=11))
    html = page(browser_of("ivan"), "/operator")
    for said in ("A job that is due waits", "Lines wait for their seal", "it does not work"):
        assert said in html


def test_a_dead_letter_is_named_and_both_acts_are_on_record(browser_of: People, world: World) -> None:
    ivan = browser_of("ivan")
    with world.database.transaction() as session:
        for job in ("a" * 32, "b" * 32):
            session.add(
                OutboxJob(
                    id=job,
                    pharmacy_id="riverside",
                    kind="staff.invitation",
                    payload={},
                    created_at=clock.now(),
                    due_at=clock.now(),
                    dead_at=clock.now(),
                    attempts=9,
                    last_error="TimeoutError",
                )
            )
    html = page(ivan, "/operator")
    for said in ("E-mail: a colleague is invited", "Riverside Pharmacy", "9 tries", "TimeoutError"):
        assert said in html
    for act, job in (("retry", "a" * 32), ("give-up", "b" * 32)):
        answer = ivan.fill("/operator/dead-letters", {"act": act, "job": job})
        assert answer.headers["Location"] == f"/operator?done={act}"
    with world.database.reading() as session:
        kept = select(AuditEvent).where(AuditEvent.entity_kind == "Job").order_by(AuditEvent.seq)
        rows = [(row.action, row.entity_id, row.detail, row.role) for row in session.scalars(kept)]
    assert rows == [
        ("job.retried", "a" * 32, {"kind": "staff.invitation"}, "operator"),
        ("job.given-up", "b" * 32, {"kind": "staff.invitation"}, "operator"),
    ]


def test_every_kind_of_job_has_a_name_for_people(app: Flask) -> None:
    known = texts.catalogue("en")
    assert {kind for kind in worker.handlers(app.extensions["portal"]) if f"operator.job.{kind}" not in known} == set()
