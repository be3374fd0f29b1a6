"""What a provider says about a person, read once into one value. Which claims are read is the operator's choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.core import clock
from portal.core.settings import Settings
from portal.identity.tokens import moment

NAME_LIMIT = 120
MAIL_LIMIT = 254


@dataclass(frozen=True)
class SignedInClaims:
    """A person who proved to be (issuer, subject), and what the provider says about them."""

    issuer: str
    subject: str
    # The words of the role claim as they came; which of them mean something is for portal.accounts to say.
    roles: frozenset[str]
    pharmacy: str | None
    patient: str | None
    name: str
    email: str | None
    email_verified: bool
    language: str | None
    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    sid: str | None
    id_token: str


def read(claims: Mapping[str, Any], settings: Settings, id_token: str) -> SignedInClaims:
    """The verified claims of an ID token as one value; odd shapes count as absent."""
    name = _text(claims.get("name")) or _text(claims.get("preferred_username")) or ""
    mail = _text(claims.get("email"))
    signed_in_at = moment(claims.get("auth_time"))
    return SignedInClaims(
        issuer=claims["iss"],
        subject=claims["sub"],
        roles=frozenset(_words(_at(claims, settings.oidc_role_claim))),
        pharmacy=next(iter(_words(_at(claims, settings.oidc_pharmacy_claim))), None),
        patient=_text(_at(claims, settings.oidc_patient_claim)) if settings.oidc_patient_claim else None,
        name=_printable(name)[:NAME_LIMIT],
        email=mail if mail and "@" in mail and len(mail) <= MAIL_LIMIT and _printable(mail) == mail else None,
        email_verified=claims.get("email_verified") is True,
        language=(_text(claims.get("locale")) or "")[:2].lower() or None,
        auth_time=min(signed_in_at, clock.now()) if signed_in_at else None,
        acr=_text(claims.get("acr")),
        amr=tuple(_words(claims.get("amr"))),
        sid=_text(claims.get("sid")),
        id_token=id_token,
    )


def _at(claims: Mapping[str, Any], name: str) -> object:
    # A claim may lie inside another one ("realm_access.roles"); a name that exists as it stands goes first.
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and 0 < len(value.strip()) <= 255 else None


def _words(value: object) -> list[str]:
    many = value if isinstance(value, list) else [value]
    return [word.strip().lower() for word in many if isinstance(word, str) and 0 < len(word) <= 120]


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
