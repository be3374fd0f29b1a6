"""The first login of somebody who was invited by mail, as the provider tells it."""

from sqlalchemy.orm import Session

from portal.accounts import signing_in
from portal.accounts.signing_in import SignIn
from portal.audit import Agent
from portal.identity.claims import SignedInClaims
from portal.pharmacies import staff_invitations


def oscar_says(subject: str = "oscar", issuer: str = "http://idp.test") -> SignedInClaims:
    """What the provider says of Oscar: a verified address, and no role."""
    return SignedInClaims(
        issuer=issuer,
        subject=subject,
        roles=frozenset(),
        pharmacy=None,
        patient=None,
        name="Oscar Bell, RPh",
        email="oscar@example.org",
        email_verified=True,
        language=None,
        auth_time=None,
        acr=None,
        amr=(),
        sid=None,
        id_token="",
    )


def comes(session: Session, claims: SignedInClaims) -> SignIn:
    """Somebody signs in; an open invitation to the address counts."""
    return signing_in.sign_in(
        session,
        claims,
        agent=Agent(None, None),
        staff_acr="",
        pharmacy_known=False,
        invitations_to=staff_invitations.to_mail,
    )
