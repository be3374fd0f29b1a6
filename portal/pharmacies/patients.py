"""Finding a patient in care: names and birth dates come from the EHR while somebody looks, and are not kept.

The EHR is asked between two transactions: the first asks policy and collects ids, the second learns who may not be
written to, and records one row for each patient that is shown, also beside another one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal.accounts import directory, names, patients
from portal.accounts.actor import Actor
from portal.accounts.patients import status_in
from portal.accounts.tables import Patient
from portal.audit import Action, Entity, record_each
from portal.core.database import Database
from portal.core.errors import Unavailable
from portal.ehr.model import Patient as EhrPatient
from portal.pharmacies import care, connections
from portal.pharmacies.lookalikes import LookAlike, Somebody, look_alikes

PAGE = 100
# Look-alikes are sought among this many patients at once; a larger pharmacy looks through its list in parts.
MOST_AT_ONCE = 500

# (connection id, FHIR ids) → who they are in that EHR, those it knows. Raises Unavailable when it does not answer.
PatientsOf = Callable[[str, Sequence[str]], Mapping[str, EhrPatient]]


@dataclass(frozen=True)
class NamedLookAlike:
    """Another patient in care who is easily taken for this one."""

    patient: str
    name: str | None
    birth_date: str | None
    number: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A patient in the list. `account`: who signs in as the patient, if anybody; `name` None: nobody knows it now.

    `number` is the record number with its label, what tells apart two people of one name and birth date.
    """

    patient: str
    name: str | None
    birth_date: str | None
    number: str
    status: str
    has_keys: bool
    account: str | None
    look_alikes: tuple[NamedLookAlike, ...]


@dataclass(frozen=True)
class Found:
    """A page of patients. `stale`: the EHR did not answer, names are those of accounts."""

    items: tuple[Line, ...]
    next: str | None
    stale: bool


@dataclass(frozen=True)
class _InCare:
    rows: list[Patient]
    fhir_ids: dict[str, str]
    accounts: dict[str, str]
    names: dict[str, str]
    keyed: frozenset[str]
    connection_id: str | None


def find(
    database: Database,
    *,
    actor: Actor,
    pharmacy_id: str,
    patients_of: PatientsOf | None,
    query: str = "",
    after: str | None = None,
    limit: int = PAGE,
) -> Found:
    """The patients in a pharmacy's care behind the id `after`, or those of them that fit `query`.

    Raises NotFound for another pharmacy, Forbidden for a role that has no business with patients.
    """
    with database.reading() as session:
        here = _in_care(session, actor, pharmacy_id, after)
    known, stale = _ask(patients_of, here)
    shown = _lines(here, known)
    fitting = [line for line in shown if _fits(line, query)]
    page = fitting[:limit]
    more = page[-1].patient if len(fitting) > limit else _last_of_full(here)
    with database.transaction() as session:
        _learn(session, here, known)
        record_each(
            session,
            Action.PATIENT_LOOKED_UP,
            agent=actor.agent,
            patient_ids=_shown(page),
            pharmacy_id=pharmacy_id,
            entity=Entity("Organization", pharmacy_id),
        )
    return Found(tuple(page), more, stale)


def _in_care(session: Session, actor: Actor, pharmacy_id: str, after: str | None) -> _InCare:
    rows = care.patients_in_care(session, actor=actor, pharmacy_id=pharmacy_id, after=after, limit=MOST_AT_ONCE)
    wanted = [row.id for row in rows]
    connection = connections.of_pharmacy(session, pharmacy_id)
    fhir_ids = (
        patients.record_ids(session, patient_ids=wanted, connection_id=connection.id) if connection is not None else {}
    )
    selves = names.selves(session, wanted)
    accounts = {patient_id: account_id for patient_id, (account_id, _) in selves.items()}
    return _InCare(
        rows=rows,
        fhir_ids=fhir_ids,
        accounts=accounts,
        names={patient_id: name for patient_id, (_, name) in selves.items()},
        keyed=directory.have_keys(session, accounts.values()),
        connection_id=connection.id if connection is not None else None,
    )


def _ask(patients_of: PatientsOf | None, here: _InCare) -> tuple[Mapping[str, EhrPatient], bool]:
    if patients_of is None or here.connection_id is None:
        return {}, True
    try:
        found = patients_of(here.connection_id, sorted(here.fhir_ids.values()))
    except Unavailable:
        return {}, True
    return {patient: found[fhir] for patient, fhir in here.fhir_ids.items() if fhir in found}, False


def _lines(here: _InCare, known: Mapping[str, EhrPatient]) -> list[Line]:
    similar = look_alikes([_somebody(patient_id, one) for patient_id, one in known.items()])
    return [
        Line(
            patient=row.id,
            name=_name(here, known, row.id),
            birth_date=known[row.id].birth_date if row.id in known else None,
            number=known[row.id].number_line if row.id in known else "",
            status=status_in(known[row.id]).value if row.id in known else row.status,
            has_keys=here.accounts.get(row.id) in here.keyed,
            account=here.accounts.get(row.id),
            look_alikes=tuple(
                # What was merged away is nobody to be taken for: nothing can be written to it.
                _named(here, known, one)
                for one in similar.get(row.id, ())
                if not known[one.patient].replaced_by and not _same(known, row.id, one.patient)
            ),
        )
        for row in here.rows
    ]


def _same(known: Mapping[str, EhrPatient], one: str, other: str) -> bool:
    """Whether two records are of one person: one was merged into the other, or both into a third."""
    return _kept(known[one]) == _kept(known[other])


def _kept(one: EhrPatient) -> str:
    return one.replaced_by.rpartition("/")[2] or one.id


def _somebody(patient_id: str, one: EhrPatient) -> Somebody:
    numbers = (one.record_number.value,) if one.record_number is not None else ()
    return Somebody(patient_id, one.family, one.birth_date, numbers)


def _named(here: _InCare, known: Mapping[str, EhrPatient], one: LookAlike) -> NamedLookAlike:
    other = known[one.patient]
    return NamedLookAlike(one.patient, _name(here, known, one.patient), other.birth_date, other.number_line, one.why)


def _name(here: _InCare, known: Mapping[str, EhrPatient], patient_id: str) -> str | None:
    return known[patient_id].full_name if patient_id in known else here.names.get(patient_id)


def _fits(line: Line, query: str) -> bool:
    words = query.casefold().split()
    text = f"{line.name or ''} {line.birth_date or ''} {line.number}".casefold()
    return all(word in text for word in words)


def _shown(page: Sequence[Line]) -> list[str]:
    """Everybody of whom the page shows something: those who are easily taken for one another too, each once."""
    return list(dict.fromkeys(one for line in page for one in (line.patient, *(it.patient for it in line.look_alikes))))


def _last_of_full(here: _InCare) -> str | None:
    return here.rows[-1].id if len(here.rows) == MOST_AT_ONCE else None


def _learn(session: Session, here: _InCare, known: Mapping[str, EhrPatient]) -> None:
    for row in here.rows:
        if row.id in known and status_in(known[row.id]) != row.status:
            patients.learn_status(session, patient_id=row.id, status=status_in(known[row.id]))
