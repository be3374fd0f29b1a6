"""What a view may reach: the services of this app, and who is asking."""

from dataclasses import dataclass, field
from typing import Any, cast

from flask import current_app, g

from portal.care.readers import EhrReaders
from portal.core.bus import Bus
from portal.core.database import Database
from portal.core.settings import Settings
from portal.identity.flask_session import asked


@dataclass
class Services:
    """Everything that outlives a request. Made once by `portal.app.create_app`."""

    settings: Settings
    database: Database
    bus: Bus
    # Adapters put in by the app or the demo, by name: "ehr", "mailer", "oidc".
    adapters: dict[str, Any] = field(default_factory=dict)


def services() -> Services:
    """The services of the running app."""
    return cast(Services, current_app.extensions["portal"])


def ehr_readers() -> EhrReaders:
    """The EHRs of this portal, kept by the app."""
    return readers_of(services())


def readers_of(given: Services) -> EhrReaders:
    """The EHRs of some services, made when they are first asked for."""
    if "ehr" not in given.adapters:
        given.adapters.setdefault("ehr", EhrReaders(given.settings))
    return cast(EhrReaders, given.adapters["ehr"])


def secret_keys() -> tuple[str, ...]:
    """What this portal seals at rest with (`Settings.secret_keys`), newest first; else the key of its cookies."""
    return services().settings.secret_keys or (current_app.config["SECRET_KEY"],)


def client_address() -> str:
    """The address of the person's machine, already freed of what untrusted proxies claim (`web.proxies`)."""
    return asked().remote_addr or "unknown"


def request_id() -> str:
    """The id under which this request is logged and audited."""
    return cast(str, g.request_id)
