"""A finger on a reader: the authenticator that a page's device has, as Chromium lets tests put one there."""

from typing import Any

from playwright.sync_api import Page

# The button that asks for a passkey.
USE = "Use fingerprint, face or screen lock"
USE_IN_SPANISH = "Usar huella, rostro o bloqueo de pantalla"


class Authenticator:
    """What a device asks before it opens a passkey. It outlives the browser profile."""

    def __init__(self, page: Page, *, gives_secrets: bool = True, transport: str = "internal") -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")
        options: dict[str, Any] = {
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": transport,
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
            "hasPrf": gives_secrets,
        }
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def wrong_finger(self) -> None:
        """The person is not recognised; from then on this authenticator is blocked."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": False})

    def passkeys(self) -> int:
        """How many passkeys lie in it."""
        return len(self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})["credentials"])

    def remove(self) -> None:
        """The device has no lock of its own any more."""
        self._session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self._id})


def says_no_once(page: Page) -> None:
    """The person stops the next question of the device: what browsers answer then, as they do to a wrong finger."""
    page.evaluate(
        """() => {
          const get = navigator.credentials.get;
          navigator.credentials.get = () => {
            navigator.credentials.get = get;
            return Promise.reject(new DOMException("stopped", "NotAllowedError"));
          };
        }"""
    )


def new_profile(page: Page) -> None:
    """The browser forgets everything, as a new device would know nothing; the passkey was carried over by its maker."""
    page.goto("/help")
    page.evaluate(
        """async () => {
          for (const { name } of await indexedDB.databases()) {
            await new Promise((resolve) => {
              const asked = indexedDB.deleteDatabase(name);
              asked.onsuccess = asked.onerror = asked.onblocked = resolve;
            });
          }
          localStorage.clear();
          sessionStorage.clear();
        }"""
    )
    page.context.clear_cookies()
