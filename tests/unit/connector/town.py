"""Members of a portal in this process: everybody signs in without a provider and makes keys by HTTP."""

import httpx
from flask import Flask
from world import World, build

from portal.connector.client import PortalClient
from portal.connector.member import Member
from portal.core import clock
from portal.core.database import Database
from portal.identity import sessions
from portal.identity.session_life import Proof

PASSPHRASE = "five words that nobody else has"
TEAM = "riverside_pharmacists"


class Town:
    """The people of `world` as members."""

    def __init__(self, app: Flask, database: Database) -> None:
        self.app = app
        self.world: World = build(database)
        self.members: dict[str, Member] = {}

    def client(self, name: str) -> PortalClient:
        """A new session of somebody."""
        client = PortalClient("http://localhost", transport=httpx.WSGITransport(app=self.app))
        actor = self.world.actor(name)
        with self.world.database.transaction() as session:
            proof = Proof(clock.now(), None, (), None, None)
            cookie, _ = sessions.begin(session, account_id=actor.account_id, role=actor.role.value, proof=proof)
        client.use_cookie(cookie)
        return client

    def __getitem__(self, name: str) -> Member:
        """Somebody with keys."""
        if name not in self.members:
            self.members[name] = Member.enrol(self.client(name), passphrase=PASSPHRASE, device_name="test")
        return self.members[name]
