"""The record as FHIR, one AuditEvent a line (NDJSON), for the tools of a hospital or an authority."""

import json
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select

from portal.audit.balp import Frame, audit_event
from portal.audit.tables import AuditEvent
from portal.core.database import Database, table_of

ROWS_AT_ONCE = 1_000

_EVENT = table_of(AuditEvent)


def export(database: Database, frame: Frame, *, since: datetime, pharmacy_id: str | None = None) -> Iterator[str]:
    """Lines of all events recorded at or after `since`, in the order of their numbers, without a line's end.

    With `pharmacy_id` only those of one pharmacy. Reads a thousand at a time, so that any record can be exported;
    whoever calls this records `audit.exported` first.
    """
    after = 0
    while True:
        chosen = select(_EVENT).where(_EVENT.c.seq > after, _EVENT.c.recorded >= since)
        if pharmacy_id is not None:
            chosen = chosen.where(_EVENT.c.pharmacy_id == pharmacy_id)
        with database.reading() as session:
            rows = session.execute(chosen.order_by(_EVENT.c.seq).limit(ROWS_AT_ONCE)).mappings().all()
        for row in rows:
            yield json.dumps(audit_event(dict(row), frame), ensure_ascii=True, separators=(",", ":"))
        if len(rows) < ROWS_AT_ONCE:
            return
        after = rows[-1]["seq"]
