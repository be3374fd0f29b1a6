"""The account behind a login: found by (issuer, subject), or made at the first one.

The first login takes role and pharmacy from the provider's claims, or from an invitation to the mail address that the
provider has verified: then the row that was made at inviting becomes the person's (portal.accounts.awaited). From then
on the portal's own row decides, and a claim may only take away: who no longer has any role of that side at the
provider, or works at another pharmacy, is refused until both agree again (design decision 13; docs/decisions/0013).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import awaited, notices
from portal.accounts.forms import first_wins
from portal.accounts.notices import What
from portal.accounts.roles import STAFF, ClosedBy, Role
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


@dataclass(frozen=True)
class Invited:
    """An open invitation to a mail address: who its holder is going to be here."""

    account_id: str
    role: Role
    pharmacy_id: str
    ends_at: datetime | None
    # Uses the invitation up, once the account stands, in the transaction of the login.
    accept: Callable[[Agent], None]


# (session, verified mail address) → the open invitations to it, each locked until the transaction ends.
InvitationsTo = Callable[[Session, str], list[Invited]]


def nobody_invited(session: Session, mail: str) -> list[Invited]:
    """For a portal that invites nobody."""
    return []


def sign_in(
    session: Session,
    claims: SignedInClaims,
    *,
    agent: Agent,
    staff_acr: str,
    pharmacy_known: bool,
    language: str | None = None,
    invitations_to: InvitationsTo = nobody_invited,
) -> SignIn:
    """Find or make the account of a person who proved who they are.

    `agent` carries address and request id; `staff_acr` is PORTAL_STAFF_ACR (one value, or several between commas);
    `pharmacy_known` says whether the claimed pharmacy exists here; `language` is what the person signed in with.
    Raises LoginRefused: `login-no-role`, `login-no-pharmacy`, `login-second-factor`, `login-disabled`, `login-ended`,
    `login-two-invitations`.
    """
    account, invited = _known(session, claims), None
    if account is None:
        invited = _invitation(session, claims, invitations_to)
        # Without one it may be that another tab of the same person has just used it, while this one waited for it.
        account = _known(session, claims) if invited is None else None
    if account is not None:
        _check_open(account)
    role = _role(account, invited, claims)
    if role in STAFF and invited is None:
        _check_pharmacy(account, claims, pharmacy_known)
    if role is not Role.PATIENT and staff_acr and claims.acr not in [part.strip() for part in staff_acr.split(",")]:
        raise LoginRefused("login-second-factor")
    if account is None:
        return _create(session, claims, role, agent, language, invited)
    if _refresh(account, claims):
        notices.tell_account(session, account.id, What.CONTACT_CHANGED)
    return SignIn(account.id, role, created=False)


def find(session: Session, *, issuer: str, subject: str) -> str | None:
    """The id of the account that signs in as (issuer, subject); None when nobody has."""
    return session.scalar(select(Account.id).where(Account.issuer == issuer, Account.subject == subject))


def email_of(session: Session, account_id: str) -> str | None:
    """The address the provider gave for an account; None without one."""
    return session.scalar(select(Account.email).where(Account.id == account_id))


def _known(session: Session, claims: SignedInClaims) -> Account | None:
    return session.scalar(select(Account).where(Account.issuer == claims.issuer, Account.subject == claims.subject))


def _check_open(account: Account) -> None:
    # Closed by hand says so, also when the last day has passed as well.
    if account.ends_at is not None and account.ends_at <= clock.now() and account.closed_by != ClosedBy.OPERATOR:
        raise LoginRefused("login-ended")
    if account.disabled_at is not None:
        raise LoginRefused("login-disabled")


def _invitation(session: Session, claims: SignedInClaims, invitations_to: InvitationsTo) -> Invited | None:
    """The invitation a first login uses: to its verified mail address, and against nothing that the token claims."""
    if claims.email is None or not claims.email_verified:
        return None
    claimed = _claimed(claims)
    fitting = [
        one
        for one in invitations_to(session, claims.email)
        if claimed in (frozenset(), frozenset({one.role})) and claims.pharmacy in (None, one.pharmacy_id)
    ]
    # An account works at one pharmacy; which one is not for chance to say.
    if len(fitting) > 1:
        raise LoginRefused("login-two-invitations")
    return fitting[0] if fitting else None


def _role(account: Account | None, invited: Invited | None, claims: SignedInClaims) -> Role:
    if account is not None:
        return _role_kept(account, claims)
    return invited.role if invited is not None else _role_of_new(claims)


def _role_of_new(claims: SignedInClaims) -> Role:
    claimed = _claimed(claims)
    # Two roles in one account would mix what patients and staff may see; somebody has to decide at the provider.
    if len(claimed) != 1:
        raise LoginRefused("login-no-role")
    return next(iter(claimed))


def _role_kept(account: Account, claims: SignedInClaims) -> Role:
    role, claimed = Role(account.role), _claimed(claims)
    if not claimed and not account.role_claimed:
        # The provider has never said what this person is: it has nothing to take away.
        return role
    same_side = STAFF if role in STAFF else frozenset({role})
    if not claimed & same_side:
        raise LoginRefused("login-no-role")
    return role


def _claimed(claims: SignedInClaims) -> frozenset[Role]:
    return frozenset(role for role in Role if role.value in claims.roles)


def _check_pharmacy(account: Account | None, claims: SignedInClaims, known: bool) -> None:
    if account is not None and claims.pharmacy is None and not account.pharmacy_claimed:
        return
    if claims.pharmacy is None or not known or (account is not None and account.pharmacy_id != claims.pharmacy):
        raise LoginRefused("login-no-pharmacy")


def _create(
    session: Session, claims: SignedInClaims, role: Role, agent: Agent, language: str | None, invited: Invited | None
) -> SignIn:
    wanted = [one for one in (language, claims.language) if one in LANGUAGES]
    account = _invited_row(session, invited) if invited is not None else _new_row(claims, role)
    account.language = wanted[0] if wanted else account.language
    with first_wins(session, "account-exists"):
        account.issuer, account.subject = claims.issuer, claims.subject
        _refresh(account, claims)
        session.add(account)
    newcomer = Agent(account.id, role.value, address=agent.address, request_id=agent.request_id)
    record(
        session,
        Action.ACCOUNT_CREATED,
        agent=newcomer,
        pharmacy_id=account.pharmacy_id,
        entity=Entity("Account", account.id),
        purpose=Purpose.HOPERAT if role in STAFF else Purpose.PATRQT,
        detail={"role": role.value} | ({"by": "invitation"} if invited is not None else {}),
    )
    if invited is not None:
        invited.accept(newcomer)
    return SignIn(account.id, role, created=True)


def _new_row(claims: SignedInClaims, role: Role) -> Account:
    return Account(
        id=ids.random_id(),
        role=role.value,
        pharmacy_id=claims.pharmacy if role in STAFF else None,
        display_name=claims.subject[:120],
        language=LANGUAGES[0],
        role_claimed=False,
        pharmacy_claimed=False,
        created_at=clock.now(),
    )


def _invited_row(session: Session, invited: Invited) -> Account:
    """The row that waits for who was invited, opened. Keys that a colleague made ahead hang on its id."""
    account = session.get_one(Account, invited.account_id, with_for_update=True)
    if not awaited.is_awaited(account):
        raise LoginRefused("login-disabled")
    account.disabled_at = account.closed_by = None
    account.ends_at, account.created_at = invited.ends_at, clock.now()
    return account


def _refresh(account: Account, claims: SignedInClaims) -> bool:
    """Take over what the token says. True when a verified address was given up for another one, or for none."""
    if claims.name:
        account.display_name = claims.name
    moved = bool(account.email) and account.email_verified and claims.email != account.email
    if moved:
        account.earlier_email, account.email_changed_at = account.email, clock.now()
    account.email = claims.email
    account.email_verified = claims.email is not None and claims.email_verified
    # What a provider has named once it goes on naming, or it means to take it away.
    account.role_claimed = account.role_claimed or bool(_claimed(claims))
    account.pharmacy_claimed = account.pharmacy_claimed or claims.pharmacy is not None
    account.last_login_at = clock.now()
    return moved
