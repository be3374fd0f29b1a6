"""Testing a pharmacy's EHR connection: what it says it can do, each search of a patient's context and each by
which people are found who are invited or ask to be found, and writing.

The worker runs it, never a request. Nothing is written into the EHR: what it would take is read from its
CapabilityStatement. Findings are words of ours and types of FHIR, never anything the EHR said.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from portal.accounts import policy
from portal.accounts.actor import Actor
from portal.care.readers import EhrReaders, address_of
from portal.core import clock
from portal.core.database import Database
from portal.core.errors import NotFound, PortalError
from portal.ehr import context, contract
from portal.ehr.client import Capabilities, EhrClient
from portal.ehr.errors import EhrProtocolError, EhrRefused, EhrUnavailable
from portal.outbox import enqueue
from portal.outbox.jobs import Job
from portal.pharmacies import connections
from portal.pharmacies.tables import EhrCheck, EhrConnection

JOB = "ehr-check"
# An id that no patient has: the searches must work and find nothing.
_NOBODY = "portal-connection-test"
# What a pharmacist cannot do without; the other parts are missed, and the panel says so.
_NEEDED = frozenset({"patient", "medications", "allergies"})


class Light(StrEnum):
    """Green: works. Amber: works, with something missing. Red: the portal cannot read what it must."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `what`: "statement", "version", "batch", "search:<part>" or "write:<type>"; `why` names
    what is wrong by a word that the catalogue has a sentence for, "" where nothing is."""

    what: str
    light: Light
    why: str = ""


def ask(session: Session, *, actor: Actor, pharmacy_id: str) -> None:
    """Let the worker test the connection of a pharmacy soon. Raises NotFound where there is none."""
    policy.allow_pharmacy_settings(actor, pharmacy_id=pharmacy_id)
    connection = connections.of_pharmacy(session, pharmacy_id)
    if connection is None:
        raise NotFound("no-ehr-connection")
    known = session.get(EhrCheck, connection.id)
    if known is None:
        known = EhrCheck(connection_id=connection.id, pharmacy_id=pharmacy_id, findings=[])
        session.add(known)
    known.asked_at, known.done_at = clock.now(), None
    enqueue(session, JOB, {"connection": connection.id}, dedupe=f"{JOB}:{connection.id}", pharmacy_id=pharmacy_id)


class CheckConnection:
    """The worker's half: runs the test and keeps what it found. A second run finds the same."""

    def __init__(self, database: Database, readers: EhrReaders) -> None:
        self._database = database
        self._readers = readers

    def __call__(self, job: Job) -> None:
        """Run the job."""
        connection_id = str(job.payload["connection"])
        try:
            with self._database.reading() as session:
                address = address_of(session, EhrConnection.id == connection_id)
        except NotFound:
            return
        findings = examine(self._readers.client(address))
        with self._database.transaction() as session:
            known = session.get(EhrCheck, connection_id)
            if known is not None:
                known.done_at, known.findings = clock.now(), [asdict(one) for one in findings]


def examine(client: EhrClient) -> list[Finding]:
    """Look at everything. Never raises for what the EHR does."""
    try:
        offered = client.capabilities(fresh=True)
    except PortalError as problem:
        return [Finding("statement", Light.RED, _why(problem))]
    return [
        Finding("statement", Light.GREEN),
        _judged("version", "" if offered.fhir_version.startswith("4.0") else "version", Light.RED),
        _judged("batch", "" if offered.batch else "no-batch", Light.AMBER),
        *_searches(client),
        _judged("search:consents", _consents(client, offered), Light.AMBER),
        *_writes(offered),
    ]


def _judged(what: str, why: str, otherwise: Light) -> Finding:
    """Green where there is nothing to say."""
    return Finding(what, otherwise if why else Light.GREEN, why)


def _searches(client: EhrClient) -> list[Finding]:
    parts = [*context.searches(_NOBODY), *context.finding_searches(_NOBODY)]
    try:
        answers = client.search_many([(kind, params) for _, kind, params in parts])
    except PortalError as problem:
        return [Finding("search:patient", Light.RED, _why(problem))]
    return [
        _judged(
            f"search:{name}",
            _why(answer) if isinstance(answer, PortalError) else "",
            Light.RED if name in _NEEDED else Light.AMBER,
        )
        for (name, _, _), answer in zip(parts, answers, strict=True)
    ]


def _consents(client: EhrClient, offered: Capabilities) -> str:
    """What is wrong with looking for Consents: without them staff invite carers on a paper that they have seen."""
    if not {"Consent", "RelatedPerson"} <= offered.resource_types:
        return "no-consents"
    try:
        client.search("Consent", (("patient", _NOBODY),), max_pages=1)
    except PortalError as problem:
        return _why(problem)
    return ""


def _writes(offered: Capabilities) -> list[Finding]:
    """For each type that the portal writes: whether it may, and without doubling."""
    found = []
    for kind in sorted(contract.written_types()):
        why = "" if kind in offered.conditional else "no-conditional" if kind in offered.creatable else "no-create"
        found.append(_judged(f"write:{kind}", why, Light.AMBER))
    return found


def _why(problem: PortalError) -> str:
    """A word for what went wrong; the sentences are in the catalogue under `setup.why`."""
    if isinstance(problem, EhrUnavailable):
        return str(problem.reason)
    if isinstance(problem, EhrRefused):
        return "not-let-in" if problem.http_status in (401, 403) else "refused"
    if isinstance(problem, EhrProtocolError):
        return "token" if problem.fault == "token" else "not-fhir"
    return "refused"


def last(session: Session, pharmacy_id: str) -> tuple[EhrConnection | None, EhrCheck | None]:
    """The connection of a pharmacy and its last test, whose findings count once it is done."""
    connection = connections.of_pharmacy(session, pharmacy_id)
    return connection, None if connection is None else session.get(EhrCheck, connection.id)
