"""All settings: `PORTAL_*` variables, read once at start into one frozen value.

docs/operations.md has a line for each; a test compares the two lists. Secrets accept a `…_PREVIOUS`
twin so that they can be rotated without signing anyone out.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class UnsafeSettings(ValueError):
    """Settings the portal refuses to start with. `reasons` has one sentence for each, for the operator."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("refusing to start: " + "; ".join(reasons))


def _setting(default: object, variable: str) -> Any:
    return field(default=default, metadata={"variable": variable})


@dataclass(frozen=True)
class Settings:
    """What an operator can set; each member carries the name of its variable."""

    env: str = _setting("development", "PORTAL_ENV")
    database_url: str = _setting("sqlite:///var/portal.sqlite3", "PORTAL_DATABASE_URL")
    database_owner_url: str = _setting("", "PORTAL_DATABASE_OWNER_URL")
    redis_url: str = _setting("", "PORTAL_REDIS_URL")
    secret_key: str = _setting("", "PORTAL_SECRET_KEY")
    secret_key_previous: str = _setting("", "PORTAL_SECRET_KEY_PREVIOUS")
    base_url: str = _setting("http://localhost:5000", "PORTAL_BASE_URL")
    trusted_hosts: str = _setting("", "PORTAL_TRUSTED_HOSTS")
    trusted_proxies: str = _setting("", "PORTAL_TRUSTED_PROXIES")
    metrics_allow: str = _setting("127.0.0.1,::1", "PORTAL_METRICS_ALLOW")
    oidc_issuer: str = _setting("", "PORTAL_OIDC_ISSUER")
    oidc_client_id: str = _setting("portal", "PORTAL_OIDC_CLIENT_ID")
    oidc_client_secret: str = _setting("", "PORTAL_OIDC_CLIENT_SECRET")
    oidc_role_claim: str = _setting("roles", "PORTAL_OIDC_ROLE_CLAIM")
    oidc_pharmacy_claim: str = _setting("pharmacy", "PORTAL_OIDC_PHARMACY_CLAIM")
    oidc_patient_claim: str = _setting("", "PORTAL_OIDC_PATIENT_CLAIM")
    staff_acr: str = _setting("", "PORTAL_STAFF_ACR")
    ehr_base_url: str = _setting("", "PORTAL_EHR_BASE_URL")
    ehr_client_id: str = _setting("", "PORTAL_EHR_CLIENT_ID")
    ehr_private_key: str = _setting("", "PORTAL_EHR_PRIVATE_KEY")
    smtp_url: str = _setting("", "PORTAL_SMTP_URL")
    mail_from: str = _setting("portal@localhost", "PORTAL_MAIL_FROM")
    data_dir: str = _setting("var", "PORTAL_DATA_DIR")
    audit_signing_key: str = _setting("", "PORTAL_AUDIT_SIGNING_KEY")
    audit_signing_key_previous: str = _setting("", "PORTAL_AUDIT_SIGNING_KEY_PREVIOUS")
    attachment_quota_mib: int = _setting(500, "PORTAL_ATTACHMENT_QUOTA_MIB")
    recovery_reads_per_day: int = _setting(5, "PORTAL_RECOVERY_READS_PER_DAY")
    parents_until_age: int = _setting(18, "PORTAL_PARENTS_UNTIL_AGE")
    stream_limit: int = _setting(224, "PORTAL_STREAM_LIMIT")
    threads: int = _setting(32, "PORTAL_THREADS")
    workers: int = _setting(2, "PORTAL_WORKERS")
    log_level: str = _setting("INFO", "PORTAL_LOG_LEVEL")

    @property
    def production(self) -> bool:
        """Whether real people's data may be here: everything meant for a demonstration is refused then."""
        return self.env == "production"

    @property
    def sqlite(self) -> bool:
        """Whether the embedded database is used: then one process holds the one write lock."""
        return self.database_url.startswith("sqlite")

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the embedded database; None for a server or a database in memory."""
        path = self.database_url.partition(":///")[2]
        return Path(path) if self.sqlite and path not in ("", ":memory:") else None

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The key that signs now, then the one that is still accepted."""
        return tuple(key for key in (self.secret_key, self.secret_key_previous) if key)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the portal as a browser's Origin header writes it."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def hosts(self) -> list[str]:
        """Host names that requests may carry."""
        named = [host.strip() for host in self.trusted_hosts.split(",") if host.strip()]
        return named or [urlsplit(self.base_url).hostname or "localhost"]

    @property
    def data_path(self) -> Path:
        """The folder for checkpoints, attachments under way and, in the demo, the databases."""
        return Path(self.data_dir).resolve()

    def unsafe(self) -> list[str]:
        """Why these settings must not serve real patients; empty when they may. Always empty in development."""
        if self.env not in ("development", "production"):
            return [f"PORTAL_ENV is {self.env!r}; it must be development or production"]
        if not self.production:
            return []
        checks = (
            (len(self.secret_key) < 32, "PORTAL_SECRET_KEY needs at least 32 characters (openssl rand -hex 32)"),
            (not self.base_url.startswith("https://"), "PORTAL_BASE_URL must begin with https://"),
            (
                not self.oidc_issuer.startswith("https://"),
                "PORTAL_OIDC_ISSUER must begin with https://",
            ),
            (not self.oidc_client_secret, "PORTAL_OIDC_CLIENT_SECRET is empty"),
            (not self.staff_acr, "PORTAL_STAFF_ACR is empty: staff must sign in with a second factor"),
            (
                bool(self.ehr_base_url) and not self.ehr_base_url.startswith("https://"),
                "PORTAL_EHR_BASE_URL must begin with https://",
            ),
            (not self.smtp_url, "PORTAL_SMTP_URL is empty: nobody could be told that a message waits"),
            (
                self.sqlite and self.workers > 1,
                "PORTAL_WORKERS must be 1 with SQLite (one process holds the write lock); use PostgreSQL for more",
            ),
        )
        return [reason for bad, reason in checks if bad]


def from_environment(environment: Mapping[str, str] | None = None, *, safe: bool = True) -> Settings:
    """Read the settings. Raises UnsafeSettings for a malformed number and, if `safe`, an unsafe production value."""
    environment = os.environ if environment is None else environment
    given: dict[str, object] = {}
    wrong: list[str] = []
    for member in fields(Settings):
        variable = member.metadata["variable"]
        if variable not in environment:
            continue
        text = environment[variable]
        if member.type in (int, "int"):
            if not text.isascii() or not text.isdigit():
                wrong.append(f"{variable} must be a whole number")
                continue
            given[member.name] = int(text)
        else:
            given[member.name] = text
    if wrong:
        raise UnsafeSettings(wrong)
    settings = Settings(**given)  # type: ignore[arg-type]
    if safe and (reasons := settings.unsafe()):
        raise UnsafeSettings(reasons)
    return settings


def variables() -> tuple[str, ...]:
    """The names of all variables, for the documentation test."""
    return tuple(member.metadata["variable"] for member in fields(Settings))
