"""`portal doctor`: is everything in place, and if not, what to do about it."""

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
from portal.identity.flow import LoginFlow
from portal.notify.mail import MailDelayed, SmtpMailer


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is as it should be, and what to do if not."""

    what: str
    good: bool
    says: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; a check that fails does not keep the others from running."""
    database = Database(settings.database_url)
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("settings", lambda: _settings(settings)),
        ("data folder", lambda: _data_folder(settings)),
        ("encryption", _encryption),
        ("database", lambda: _database(database)),
        ("schema", lambda: _schema(database)),
        ("audit rows", lambda: _audit_rows(database)),
        ("audit signing key", lambda: _audit_key(settings)),
        ("identity provider", lambda: _provider(settings, database)),
        ("EHR", lambda: _ehr(settings)),
        ("mail", lambda: _mail(settings)),
    )
    return list(_run(checks))


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
            yield Finding(what, False, problem.code)
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


def _database(database: Database) -> str:
    database.ping()
    return "SQLite" if database.sqlite else "PostgreSQL"


def _schema(database: Database) -> str:
    current, newest = migrating.current(database), migrating.newest()
    if current != newest:
        raise Wrong(f"at {current or 'nothing'}, the code expects {newest}: run portal migrate")
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
    return f"{len(audit_keys.known(settings))} known"


def _provider(settings: Settings, database: Database) -> str:
    if not settings.oidc_issuer:
        raise Wrong("PORTAL_OIDC_ISSUER is empty")
    LoginFlow(settings, database).provider.metadata()
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
