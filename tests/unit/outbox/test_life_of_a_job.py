"""Whatever happens to a job in each of its states: what the table says, and nothing else."""

import pytest
from sqlalchemy import select

from portal import outbox
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import NotFound
from portal.outbox import Dead, Job, Retry, Runner, dead_letters
from portal.outbox.jobs import LIFE, Event, State
from portal.outbox.runner import LEASE
from portal.outbox.tables import OutboxJob

# What a worker does with a job that it has taken, and what an operator or the code that put it in does.
BY_A_WORKER = (Event.TAKEN, Event.LEASE_OVER, Event.SUCCEEDED, Event.FAILED, Event.WORN_OUT)
BY_OTHERS = (Event.CANCELLED, Event.RETRIED, Event.GIVEN_UP)
WAYS = {
    State.WAITING: (),
    State.RUNNING: (Event.TAKEN,),
    State.DONE: (Event.SUCCEEDED,),
    State.DEAD: (Event.WORN_OUT,),
    State.CANCELLED: (Event.CANCELLED,),
}


class Story:
    """One job and what can be done to it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.transaction() as session:
            outbox.enqueue(session, "job", {}, dedupe="the job")
            self.id = session.scalars(select(OutboxJob.id)).one()

    @property
    def state(self) -> State:
        with self.database.reading() as session:
            row = session.get(OutboxJob, self.id)
        if row is None:
            return State.CANCELLED
        if row.done_at is not None:
            return State.DONE
        if row.dead_at is not None:
            return State.DEAD
        return State.WAITING if row.lease_owner is None else State.RUNNING

    def happens(self, event: Event) -> None:
        if event in BY_A_WORKER:
            self._runs(event)
            return
        with self.database.transaction() as session:
            if event is Event.CANCELLED:
                outbox.cancel(session, "the job")
            elif event is Event.RETRIED:
                dead_letters.retry(session, self.id)
            else:
                dead_letters.give_up(session, self.id)

    def _runs(self, event: Event) -> None:
        def handle(_: Job) -> None:
            if event is Event.FAILED:
                raise Retry
            if event is Event.WORN_OUT:
                raise Dead("planned")
            if event in (Event.TAKEN, Event.LEASE_OVER):
                # The worker goes away in the middle of it.
                raise KeyboardInterrupt

        if event is Event.LEASE_OVER:
            clock.shift(LEASE)
        try:
            Runner(self.database, {"job": handle}).run_due(limit=1)
        except KeyboardInterrupt:
            assert event in (Event.TAKEN, Event.LEASE_OVER)


@pytest.fixture
def story(database: Database) -> Story:
    return Story(database)


def test_it_begins_as_the_table_says(story: Story) -> None:
    assert story.state is LIFE.after(None, Event.ENQUEUED)


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("event", BY_OTHERS)
def test_what_others_do_leads_where_the_table_says(story: Story, before: State, event: Event) -> None:
    for step in WAYS[before]:
        story.happens(step)
    assert story.state is before
    try:
        story.happens(event)
    except NotFound:
        assert LIFE.after(before, event) is None
    assert story.state is (LIFE.after(before, event) or before)


@pytest.mark.parametrize("event", [Event.SUCCEEDED, Event.FAILED, Event.WORN_OUT])
def test_how_a_run_ends_leads_where_the_table_says(story: Story, event: Event) -> None:
    # A job is taken and its end written in one go.
    story.happens(event)
    taken = LIFE.after(State.WAITING, Event.TAKEN)
    assert story.state is LIFE.after(taken, event)


@pytest.mark.parametrize("before", [State.RUNNING, State.DONE, State.DEAD, State.CANCELLED])
def test_no_worker_takes_what_does_not_wait(story: Story, before: State) -> None:
    for step in WAYS[before]:
        story.happens(step)
    story.happens(Event.SUCCEEDED)
    assert story.state is before


def test_a_lost_workers_job_goes_to_another_when_the_lease_is_over(story: Story) -> None:
    story.happens(Event.TAKEN)
    with story.database.reading() as session:
        first = session.get_one(OutboxJob, story.id).lease_owner
    story.happens(Event.LEASE_OVER)
    assert story.state is LIFE.after(State.RUNNING, Event.LEASE_OVER)
    with story.database.reading() as session:
        assert session.get_one(OutboxJob, story.id).lease_owner != first
    clock.shift(LEASE)
    story.happens(Event.SUCCEEDED)
    assert story.state is LIFE.after(State.RUNNING, Event.SUCCEEDED)
