"""Objects that the portal keeps sealed for a member alone: drafts, settings."""

from typing import Any

from portal.connector.client import PortalClient
from portal.connector.directory import MemberDirectory
from portal.core import clock
from portal.e2ee import seal
from portal.e2ee.identity import Person
from portal.e2ee.objects import ObjectName, verify_object
from portal.e2ee.open import open_object


class Objects:
    """The objects of one person. Raises Refused for what does not verify, ServerRefused."""

    def __init__(self, client: PortalClient, person: Person, directory: MemberDirectory) -> None:
        self._client = client
        self._person = person
        self._directory = directory

    def keep(self, kind: str, id: str, content: bytes) -> int:
        """Store the next revision of an object; returns it."""
        stored = self._stored(kind).get(id)
        rev = 1 if stored is None else int(stored["rev"]) + 1
        me = self._person
        sealed = seal.seal_object(me.id, me.key, me.device, content, kind=kind, id=id, rev=rev, ts=clock.now_ms())
        path = f"/api/objects/{me.id}/{kind}/{id}"
        return int(self._client.put(path, {"rev": rev, **sealed.to_json()})["rev"])

    def kept(self, kind: str, id: str) -> bytes | None:
        """The content of an object; None if there is none."""
        stored = self._stored(kind).get(id)
        if stored is None:
            return None
        me = self._person
        self._directory.load([me.id])
        sealed = verify_object(stored, ObjectName(me.id, kind, id), me.id, int(stored["rev"]), self._directory)
        return open_object(sealed, me.keyring[me.id, sealed.gen])

    def _stored(self, kind: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        after: str | None = ""
        while after is not None:
            query = {"after": after} if after else {}
            page = self._client.get(f"/api/objects/{self._person.id}/{kind}", **query)
            found |= {item["id"]: item for item in page["items"]}
            after = page["next"]
        return found
