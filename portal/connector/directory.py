"""The key directory as a member sees it: asked from the portal, verified, held against what was seen before.

First contact is trust on first use (docs/protocol.md section 3); the pins are the caller's to keep.
"""

from collections.abc import Iterable
from typing import Any

from portal.connector.client import PortalClient
from portal.e2ee import directory, teams
from portal.e2ee.directory import Entry, Pin
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.register import Register

MOST_IDS = 100


class ConfirmFirst(Exception):
    """Somebody started again without the old identity: a person has to make sure who it is before anything is sent."""


class MemberDirectory(Register):
    """A register that fills itself. What does not verify raises Refused and is not taken."""

    def __init__(self, client: PortalClient, pins: dict[str, Pin]) -> None:
        super().__init__()
        self._client = client
        self._pins = pins
        self.people: dict[str, dict[str, Any]] = {}
        self._held: set[str] = set()

    def load(self, ids: Iterable[str], *, fresh: bool = False) -> None:
        """Ask for those that are not known yet (`fresh`: all), and for whoever signed for teams among them."""
        wanted = [id for id in dict.fromkeys(ids) if fresh or (id not in self.chains and id not in self.teams)]
        items = self._look_up(wanted)
        signers = {str(record["by"]) for item in items for record in item.get("records", ())}
        # Also those that are known: since then somebody may have come in to keys made ahead, or been let in anew.
        items += self._look_up(sorted(signers - {item["id"] for item in items}))
        for item in items:
            if item.get("entries"):
                self._take_person(item)
        for item in items:
            if item.get("records"):
                self.add_team(item["id"], item["records"], self._pins.get(item["id"]))
                self._pins[item["id"]] = teams.pin_of(self.teams[item["id"]][-1])

    def newest(self, id: str) -> Entry:
        """The newest entry of a person or team, asked anew, to seal something to it. Raises Refused (`unknown user`)
        and ConfirmFirst."""
        self.load([id], fresh=True)
        if id in self._held:
            raise ConfirmFirst(id)
        entry = self.user(id)
        if entry is None:
            raise Refused(Reason.UNKNOWN_USER)
        return entry

    def _look_up(self, ids: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at in range(0, len(ids), MOST_IDS):
            found += self._client.post("/api/directory/lookup", {"ids": ids[at : at + MOST_IDS]})["items"]
        return found

    def _take_person(self, item: dict[str, Any]) -> None:
        id, pin = item["id"], self._pins.get(item["id"])
        chain = self.add_chain(id, item["entries"], pin)
        if pin is not None and directory.resets_since(chain, pin):
            self._held.add(id)
        else:
            self._pins[id] = directory.pin_of(chain[-1].entry)
        self.people[id] = item
        for device in item["devices"]:
            self.add_certificate(device["id"], device["certificate"])
            if device["revocation"] is not None:
                self.add_revocation(id, device["id"], device["revocation"])
