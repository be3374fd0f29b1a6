"""The accounts of the demo's provider: given by whoever starts it, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DemoAccount:
    """One person who can sign in. `login` is also the subject (`sub`)."""

    login: str
    name: str
    role: str | None = None
    email: str | None = None
    pharmacy: str | None = None
    language: str = "en"
    acr: str = "1"
    amr: tuple[str, ...] = ("pwd",)
    # Put into the ID token as they are, for trying out other claim names.
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Person:
    """Somebody who proved to be `account`, in the provider's session `sid`."""

    account: DemoAccount
    sid: str
    auth_time: int

    def claims(self, scope: str) -> dict[str, Any]:
        """The claims of ID token and userinfo for a scope."""
        said: dict[str, Any] = {"sub": self.account.login}
        if "profile" in scope.split():
            said |= {
                "name": self.account.name,
                "preferred_username": self.account.login,
                "locale": self.account.language,
            }
            if self.account.role:
                said["roles"] = [self.account.role]
            if self.account.pharmacy:
                said["pharmacy"] = self.account.pharmacy
            said |= self.account.claims
        if "email" in scope.split() and self.account.email:
            said |= {"email": self.account.email, "email_verified": True}
        return said
