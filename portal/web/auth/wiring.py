"""What the views of this package share: the client of the provider, the box for ID tokens, who is at the door."""

from portal.audit import Agent
from portal.core import texts
from portal.core.secrets_box import SecretsBox
from portal.identity.flow import LoginFlow
from portal.web.pages import language
from portal.web.wiring import client_address, request_id, secret_keys, services

BROWSER_COOKIE = "portal_login"
# Somebody signed out here: the next login asks for the password, though the provider may still know the person.
SIGNED_OUT_COOKIE = "portal_signed_out"


def login_flow() -> LoginFlow:
    """The client of the identity provider, made once per app."""
    adapters = services().adapters
    if "oidc" not in adapters:
        adapters.setdefault("oidc", LoginFlow(services().settings, services().database))
    flow: LoginFlow = adapters["oidc"]
    return flow


def id_token_box() -> SecretsBox:
    """Seals ID tokens for the session's row, bound to (account id, issuer)."""
    return SecretsBox(secret_keys(), "id-token")


def stranger() -> Agent:
    """Somebody who is not signed in, or not yet."""
    return Agent(account_id=None, role=None, address=client_address(), request_id=request_id())


def chosen_language(asked: str | None) -> str:
    """The language somebody asks for in the address, else the one the page would have."""
    return asked if asked in texts.LANGUAGES else language()
