"""The account behind a login: found by (issuer, subject), or made at the first one.

The first login takes role and pharmacy from the provider's claims. From then on the portal's own row decides, and a
claim may only take away: who no longer has any role of that side at the provider, or works at another pharmacy, is
refused until both agree again (design decision 13).
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts.forms import first_wins
from portal.accounts.roles import STAFF, Role
from portal.accounts.tables import Account
from portal.audit import Action, Agent, Entity, Purpose, record
from portal.core import clock, ids
from portal.core.texts import LANGUAGES
from portal.identity.claims import SignedInClaims
from portal.identity.errors import LoginRefused


@dataclass(frozen=True)
class SignIn:
    """Who came in."""

    account_id: str
    role: Role
    created: bool


def sign_in(
    session: Session,
    claims: SignedInClaims,
    *,
    agent: Agent,
    staff_acr: str,
    pharmacy_known: bool,
    language: str | None = None,
) -> SignIn:
    """Find or make the account of a person who proved who they are.

    `agent` carries address and request id; `staff_acr` is PORTAL_STAFF_ACR (one value, or several between commas);
    `pharmacy_known` says whether the claimed pharmacy exists here; `language` is what the person signed in with.
    Raises LoginRefused: `login-no-role`, `login-no-pharmacy`, `login-second-factor`, `login-disabled`.
    """
    account = session.scalar(select(Account).where(Account.issuer == claims.issuer, Account.subject == claims.subject))
    if account is not None and account.disabled_at is not None:
        raise LoginRefused("login-disabled")
    role = _role_of_new(claims) if account is None else _role_kept(Role(account.role), claims)
    if role in STAFF:
        _check_pharmacy(account, claims, pharmacy_known)
    if role is not Role.PATIENT and staff_acr and claims.acr not in [part.strip() for part in staff_acr.split(",")]:
        raise LoginRefused("login-second-factor")
    if account is None:
        return _create(session, claims, role, agent, language)
    _refresh(account, claims)
    return SignIn(account.id, role, created=False)


def find(session: Session, *, issuer: str, subject: str) -> str | None:
    """The id of the account that signs in as (issuer, subject); None when nobody has."""
    return session.scalar(select(Account.id).where(Account.issuer == issuer, Account.subject == subject))


def email_of(session: Session, account_id: str) -> str | None:
    """The address the provider gave for an account; None without one."""
    return session.scalar(select(Account.email).where(Account.id == account_id))


def _role_of_new(claims: SignedInClaims) -> Role:
    claimed = _claimed(claims)
    # Two roles in one account would mix what patients and staff may see; somebody has to decide at the provider.
    if len(claimed) != 1:
        raise LoginRefused("login-no-role")
    return next(iter(claimed))


def _role_kept(role: Role, claims: SignedInClaims) -> Role:
    claimed = _claimed(claims)
    same_side = STAFF if role in STAFF else frozenset({role})
    if not claimed & same_side:
        raise LoginRefused("login-no-role")
    return role


def _claimed(claims: SignedInClaims) -> frozenset[Role]:
    return frozenset(role for role in Role if role.value in claims.roles)


def _check_pharmacy(account: Account | None, claims: SignedInClaims, known: bool) -> None:
    if claims.pharmacy is None or not known or (account is not None and account.pharmacy_id != claims.pharmacy):
        raise LoginRefused("login-no-pharmacy")


def _create(session: Session, claims: SignedInClaims, role: Role, agent: Agent, language: str | None) -> SignIn:
    wanted = [one for one in (language, claims.language) if one in LANGUAGES]
    account = Account(
        id=ids.random_id(),
        issuer=claims.issuer,
        subject=claims.subject,
        role=role.value,
        pharmacy_id=claims.pharmacy if role in STAFF else None,
        display_name=claims.name or claims.subject[:120],
        language=wanted[0] if wanted else LANGUAGES[0],
        created_at=clock.now(),
    )
    _refresh(account, claims)
    with first_wins(session, "account-exists"):
        session.add(account)
    record(
        session,
        Action.ACCOUNT_CREATED,
        agent=Agent(account.id, role.value, address=agent.address, request_id=agent.request_id),
        pharmacy_id=account.pharmacy_id,
        entity=Entity("Account", account.id),
        purpose=Purpose.HOPERAT if role in STAFF else Purpose.PATRQT,
        detail={"role": role.value},
    )
    return SignIn(account.id, role, created=True)


def _refresh(account: Account, claims: SignedInClaims) -> None:
    if claims.name:
        account.display_name = claims.name
    account.email = claims.email
    account.email_verified = claims.email is not None and claims.email_verified
    account.last_login_at = clock.now()
