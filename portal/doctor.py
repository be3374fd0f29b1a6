"""`portal doctor`: is everything in place, and if not, what to do about it. It makes and changes nothing."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from portal.audit import keys as audit_keys
from portal.core import granting, migrating
from portal.core.database import Database
from portal.core.errors import PortalError
from portal.core.settings import Settings, UnsafeSettings
from portal.e2ee import selftest
from portal.ehr.client import EhrClient, EhrConnection
from portal.identity.fetching import Fetcher
from portal.identity.provider import Provider
from portal.notify.mail import MailDelayed, SmtpMailer

# What an adapter's error means to whoever sets the portal up.
SAYS = {
    "database-down": "does not answer: check PORTAL_DATABASE_URL and whether the server runs",
    "login-provider-down": "does not answer: check PORTAL_OIDC_ISSUER and whether it can be reached from here",
    "ehr-unavailable": "does not answer: check PORTAL_EHR_BASE_URL and whether it can be reached from here",
    "ehr-refused": "says no: check PORTAL_EHR_BASE_URL, and whether the portal is registered there",
    "ehr-protocol": "what answers at PORTAL_EHR_BASE_URL is no FHIR R4 server",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is as it should be, and what to do if not."""

    what: str
    good: bool
    says: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; a check that fails does not keep the others from running."""
    place = settings.sqlite_path
    # Opening a database of SQLite would make one.
    database = None if place is not None and not place.exists() else Database(settings.database_url)
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("settings", lambda: _settings(settings)),
        ("data folder", lambda: _data_folder(settings)),
        ("encryption", _encryption),
        ("database", lambda: _database(_there(database, settings))),
        ("schema", lambda: _schema(_there(database, settings))),
        ("audit rows", lambda: _audit_rows(_there(database, settings))),
        ("audit signing key", lambda: _audit_key(settings)),
        ("identity provider", lambda: _provider(settings)),
        ("EHR", lambda: _ehr(settings)),
        ("mail", lambda: _mail(settings)),
    )
    try:
        return list(_run(checks))
    finally:
        if database is not None:
            database.close()


class Wrong(Exception):
    """What is wrong and what to do, as one sentence for the operator."""


def _run(checks: tuple[tuple[str, Callable[[], str]], ...]) -> Iterator[Finding]:
    for what, check in checks:
        try:
            yield Finding(what, True, check())
        except Wrong as wrong:
            yield Finding(what, False, str(wrong))
        except UnsafeSettings as unsafe:
            yield Finding(what, False, "; ".join(unsafe.reasons))
        except PortalError as problem:
            yield Finding(what, False, SAYS.get(problem.code, problem.code))
        except OSError as problem:
            yield Finding(what, False, problem.strerror or type(problem).__name__)


def _settings(settings: Settings) -> str:
    if reasons := settings.unsafe():
        raise UnsafeSettings(reasons)
    return f"{settings.env}, {settings.base_url}"


def _data_folder(settings: Settings) -> str:
    path = settings.data_path
    if not path.is_dir():
        raise Wrong(f"{path} is missing: make it, owned by the portal's user, mode 0700")
    mode = stat.S_IMODE(path.stat().st_mode)
    if settings.production and mode & 0o077:
        raise Wrong(f"{path} can be read by others (mode {mode:04o}): chmod 700")
    return str(path)


def _encryption() -> str:
    selftest.run()
    return "X-Wing, ML-DSA-65, Ed25519 and Argon2id give their known answers"


def _there(database: Database | None, settings: Settings) -> Database:
    if database is None:
        raise Wrong(f"there is none at {settings.sqlite_path}: check PORTAL_DATABASE_URL, or run portal migrate")
    return database


def _database(database: Database) -> str:
    database.ping()
    return "SQLite" if database.sqlite else "PostgreSQL"


def _schema(database: Database) -> str:
    current, newest = migrating.current(database), migrating.newest()
    if current is None:
        raise Wrong("the database is empty: run portal migrate")
    if current != newest:
        raise Wrong(f"at {current}, the code expects {newest}: run portal migrate")
    return str(current)


def _audit_rows(database: Database) -> str:
    if database.sqlite:
        return "append-only by trigger"
    if tables := granting.rewritable(database):
        raise Wrong(
            f"the portal's role could rewrite {', '.join(tables)}: let another role own the tables "
            "(PORTAL_DATABASE_OWNER_URL, docs/operations.md)"
        )
    return "append-only by trigger; the portal's role does not own the tables"


def _audit_key(settings: Settings) -> str:
    known = len(audit_keys.known(settings))
    if not known:
        return "none yet: made when the portal first starts"
    return "one" if known == 1 else f"one, and {known - 1} from before"


def _provider(settings: Settings) -> str:
    if not settings.oidc_issuer:
        raise Wrong("PORTAL_OIDC_ISSUER is empty")
    Provider(settings.oidc_issuer, Fetcher()).metadata()
    return settings.oidc_issuer


def _ehr(settings: Settings) -> str:
    if not settings.ehr_base_url:
        return "no default connection; each pharmacy may have its own"
    client = EhrClient(EhrConnection(settings.ehr_base_url, private_network=not settings.production))
    try:
        offered = client.capabilities()
    finally:
        client.close()
    return f"FHIR {offered.fhir_version}, {offered.software or 'unnamed software'}"


def _mail(settings: Settings) -> str:
    if not settings.smtp_url:
        if settings.production:
            raise Wrong("PORTAL_SMTP_URL is empty")
        return "none: mail stays on this machine"
    try:
        return SmtpMailer(settings.smtp_url, settings.mail_from).probe()
    except MailDelayed as problem:
        raise Wrong(f"the server of PORTAL_SMTP_URL does not let the portal in ({problem})") from problem
