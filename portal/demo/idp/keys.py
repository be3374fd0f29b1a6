"""The provider's ES256 keys: one signs, those before it are still published until tokens under them are old."""

from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import delete, select

from portal.core import clock, ids
from portal.core.database import Database
from portal.demo.idp.store import SigningKey

ALGORITHM = "ES256"
PUBLISHED_AFTER_RETIRING = timedelta(hours=1)


class Keys:
    """Signs, publishes, rotates."""

    def __init__(self, database: Database) -> None:
        self._database = database
        if not self._rows():
            self.rotate()

    def signing(self) -> ECKey:
        """The private key that signs now."""
        return ECKey.import_key(next(row.jwk for row in self._rows() if row.retired_at is None))

    def sign(self, claims: dict[str, Any], *, kind: str) -> str:
        """A signed token of type `kind`."""
        key = self.signing()
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": kind}, claims, key, [ALGORITHM])

    def published(self) -> KeySet:
        """All public keys whose tokens may still be about."""
        now = clock.now()
        rows = [
            row for row in self._rows() if row.retired_at is None or row.retired_at > now - PUBLISHED_AFTER_RETIRING
        ]
        return KeySet([ECKey.import_key(row.jwk) for row in rows])

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        key = ECKey.generate_key("P-256", {"kid": ids.random_id(), "use": "sig", "alg": ALGORITHM}, private=True)
        with self._database.transaction() as session:
            for row in session.scalars(select(SigningKey).where(SigningKey.retired_at.is_(None))):
                row.retired_at = clock.now()
            session.add(SigningKey(kid=str(key.kid), jwk=dict(key.as_dict(private=True)), created_at=clock.now()))

    def withdraw(self, kid: str) -> None:
        """A key was lost: stop publishing it at once, and sign with a new one."""
        with self._database.transaction() as session:
            session.execute(delete(SigningKey).where(SigningKey.kid == kid))
        if not any(row.retired_at is None for row in self._rows()):
            self.rotate()

    def _rows(self) -> list[SigningKey]:
        with self._database.reading() as session:
            return list(session.scalars(select(SigningKey).order_by(SigningKey.created_at)))
