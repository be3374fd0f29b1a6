"""The EHRs of the pharmacies, each with one client that lives as long as the process.

Who asks names a connection by its row; base URL, login and the pharmacy's name come from there, the key that proves who
we are from the settings. A row that changed gets a new client.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal.core import ids
from portal.core.database import Database
from portal.core.errors import NotFound
from portal.core.settings import Settings
from portal.ehr.client import EhrClient, EhrConnection
from portal.ehr.context import ContextReader
from portal.ehr.errors import DownReason, EhrNotFound, EhrProtocolError, EhrRefused, EhrUnavailable
from portal.ehr.model import Patient
from portal.ehr.smart import Algorithm, Auth, BackendServices, ClientKey, NoAuth
from portal.pharmacies import tables


@dataclass(frozen=True)
class Address:
    """Where an EHR is, as its row says. `auth`: "none" (sandbox) or "smart" (SMART Backend Services)."""

    id: str
    base_url: str
    auth: str
    client_id: str | None
    source: str


class EhrReaders:
    """One reader for each connection. Thread-safe."""

    def __init__(self, settings: Settings, *, client: Callable[[EhrConnection], EhrClient] = EhrClient) -> None:
        self._settings = settings
        self._client = client
        self._kept: dict[str, tuple[Address, EhrClient, ContextReader]] = {}
        self._lock = threading.Lock()

    def reader(self, address: Address) -> ContextReader:
        """The reader of a connection. Raises EhrProtocolError for a base URL that is none."""
        return self._both(address)[1]

    def client(self, address: Address) -> EhrClient:
        """The client of a connection, for what is no patient's context. Raises as `reader`."""
        return self._both(address)[0]

    def _both(self, address: Address) -> tuple[EhrClient, ContextReader]:
        with self._lock:
            kept = self._kept.get(address.id)
            if kept is not None and kept[0] == address:
                return kept[1], kept[2]
            client = self._client(
                EhrConnection(
                    base_url=address.base_url,
                    source=address.source,
                    auth=self._auth(address),
                    private_network=not self._settings.production,
                )
            )
            reader = ContextReader(client)
            self._kept[address.id] = (address, client, reader)
        if kept is not None:
            kept[1].close()
        return client, reader

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            for _, client, _ in self._kept.values():
                client.close()
            self._kept.clear()

    def _auth(self, address: Address) -> Auth:
        if address.auth != "smart":
            return NoAuth()
        return BackendServices(
            client_id=address.client_id or self._settings.ehr_client_id,
            key=private_key(self._settings.ehr_private_key),
        )


def private_key(given: str) -> ClientKey:
    """The key of PORTAL_EHR_PRIVATE_KEY: PEM text or the name of a file with it, RSA or P-384. Raises ValueError."""
    pem = given if "-----BEGIN" in given else Path(given).read_text("utf-8")
    kid = ids.digest(pem)[:16]
    try:
        key = ClientKey(pem, kid, Algorithm.ES384)
        key.private()
    except ValueError:
        key = ClientKey(pem, kid, Algorithm.RS384)
        key.private()
    return key


def patients_of(database: Database, readers: EhrReaders) -> Callable[[str, Sequence[str]], Mapping[str, Patient]]:
    """Who FHIR ids of a connection are, for lists of patients: (connection id, ids) to patients by id.

    The function raises EhrUnavailable when the EHR does not answer, NotFound for an unknown connection.
    """

    def ask(connection_id: str, fhir_ids: Sequence[str]) -> Mapping[str, Patient]:
        with database.reading() as session:
            address = address_of(session, tables.EhrConnection.id == connection_id)
        return readers.reader(address).patients(fhir_ids)

    return ask


@contextmanager
def answering() -> Iterator[None]:
    """Turn every answer of an EHR that cannot be used into EhrUnavailable; EhrNotFound stays."""
    try:
        yield
    except EhrNotFound:
        raise
    except (EhrRefused, EhrProtocolError) as problem:
        raise EhrUnavailable(DownReason.SERVER_ERROR) from problem


def address_of(session: Session, which: ColumnElement[bool]) -> Address:
    """The address in the first row that fits. Raises NotFound `no-ehr-connection`."""
    row = session.execute(
        select(tables.EhrConnection, tables.Pharmacy.name)
        .join(tables.Pharmacy, tables.Pharmacy.id == tables.EhrConnection.pharmacy_id)
        .where(which)
        .order_by(tables.EhrConnection.created_at, tables.EhrConnection.id)
        .limit(1)
    ).first()
    if row is None:
        raise NotFound("no-ehr-connection")
    connection, name = row
    return Address(connection.id, connection.base_url, connection.auth, connection.client_id, name)
