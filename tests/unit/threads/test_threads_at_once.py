"""Several tabs of one person in the same thread at the same moment."""

from functools import partial

from at_once import MANY, at_once, codes
from sqlalchemy import func, select
from world_threads import Threads

from portal.core import clock, ids
from portal.core.errors import PortalError
from portal.e2ee.encoding import b64, sha256
from portal.e2ee.records import ReceiptKind
from portal.e2ee.seal import Writer
from portal.e2ee.verify import Head
from portal.pharmacies import teams
from portal.threads import attachments, receipts
from portal.threads.tables import Attachment, ReadPosition, Receipt


def test_the_quota_of_files_holds_however_many_are_announced_at_once(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    actor = threads.keys.actor("alice")

    def announce(session) -> None:  # type: ignore[no-untyped-def]
        attachments.begin(
            session,
            actor=actor,
            attachment_id=ids.random_id(),
            thread_id=posted.thread_id,
            pharmacy_id="riverside",
            size=1000,
            cth=b64(sha256(b"")),
            quota=3500,
        )

    assert codes(at_once(threads.world.database, [announce] * MANY)) == ["attachment-quota"] * (MANY - 3)
    with threads.world.database.reading() as session:
        assert session.scalar(select(func.sum(Attachment.size))) == 3000


def test_the_same_file_announced_by_two_tabs_at_once_is_one_file(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "Hello.")
    announce = partial(
        attachments.begin,
        actor=threads.keys.actor("alice"),
        attachment_id=ids.random_id(),
        thread_id=posted.thread_id,
        pharmacy_id="riverside",
        size=1000,
        cth=b64(sha256(b"")),
        quota=3500,
    )
    assert codes(at_once(threads.world.database, [announce] * MANY)) == []
    with threads.world.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Attachment)) == 1


def test_the_newest_receipt_stays_whichever_tab_is_faster(threads: Threads) -> None:
    posted = threads.start("alice", "alice", "One.")
    for text in ("Two.", "Three.", "Four."):
        threads.send("alice", posted.thread_id, text)
    records, state = threads.fetch("bob", posted.thread_id)
    writer = Writer(threads.keys.people["bob"].device, state)
    actor = threads.keys.actor("bob")
    acts = [
        partial(
            receipts.post_receipt,
            actor=actor,
            thread_id=posted.thread_id,
            raw=writer.receipt(kind, Head(seq, records[seq - 1].head), clock.now_ms()),
        )
        for seq in (2, 3, 4, 5)
        for kind in (ReceiptKind.READ, ReceiptKind.DELIVERED)
    ]
    outcomes = at_once(threads.world.database, acts)
    assert set(codes(outcomes)) <= {"receipt-older"}
    assert not any(isinstance(one, PortalError) for one in outcomes[-2:])
    with threads.world.database.reading() as session:
        assert set(session.scalars(select(Receipt.seq))) == {5}
        position = session.get_one(ReadPosition, ("riverside", threads.world.accounts["bob"], posted.thread_id))
        assert (position.delivered_seq, position.read_seq, position.read_messages) == (5, 5, 4)


def test_the_last_two_of_a_team_do_not_leave_at_the_same_moment(threads: Threads) -> None:
    threads.keys.team("riverside_pharmacists", "bob", "bob", "erin")
    acts = [
        partial(teams.leave, actor=threads.keys.actor(name), team="riverside_pharmacists") for name in ("bob", "erin")
    ]
    assert codes(at_once(threads.world.database, acts)) == ["sole-member"]
    with threads.world.database.reading() as session:
        assert len(teams.members(session, "riverside_pharmacists")) == 1


def test_a_seat_asked_for_twice_at_once_is_asked_for_once(threads: Threads) -> None:
    ask = partial(teams.ask, actor=threads.keys.actor("erin"), team="riverside_desk")
    assert codes(at_once(threads.world.database, [ask] * 4)) == ["seat"] * 3
