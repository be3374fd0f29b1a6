"""The keys of the audit log: the one that signs checkpoints, and all that ever did.

The signing key comes from PORTAL_AUDIT_SIGNING_KEY or from a file in PORTAL_DATA_DIR/keys that is made at the first
start. The log's name (its origin) is the name in the key and stays when the key is exchanged.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from portal.core import ids
from portal.core.settings import Settings, UnsafeSettings
from portal.translog.notes import NoteRefused, SigningKey, VerifierKey

SIGNING_FILE = "audit-signing-key"
VERIFIER_FILE = "audit-verifier-keys"


@dataclass(frozen=True)
class LogKeys:
    """The key that signs now and every key whose checkpoints count, the present one first."""

    signing: SigningKey
    verifiers: tuple[VerifierKey, ...]

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self.signing.verifier.name


def load(settings: Settings) -> LogKeys:
    """The keys of this portal; makes the signing key at the first start.

    Raises UnsafeSettings for a malformed key, or a key file that others on the machine may read.
    """
    keys = _read(settings)
    _remember(settings.data_path / "keys", keys.signing.verifier)
    return keys


def _read(settings: Settings) -> LogKeys:
    folder = settings.data_path / "keys"
    try:
        signing = SigningKey.parse(settings.audit_signing_key) if settings.audit_signing_key else _kept(settings)
        previous = [_verifier(text) for text in settings.audit_signing_key_previous.split()]
        listed = [VerifierKey.parse(line) for line in _lines(folder / VERIFIER_FILE)]
    except NoteRefused as problem:
        raise UnsafeSettings([f"the signing key of the audit log cannot be used: {problem}"]) from problem
    return LogKeys(signing, tuple(dict.fromkeys((signing.verifier, *previous, *listed))))


def known(settings: Settings) -> tuple[VerifierKey, ...]:
    """Every key whose checkpoints count, without making or writing one; empty where nothing was ever sealed.

    Raises UnsafeSettings for a malformed key.
    """
    folder = settings.data_path / "keys"
    if settings.audit_signing_key or (folder / SIGNING_FILE).exists():
        return _read(settings).verifiers
    try:
        listed = [*settings.audit_signing_key_previous.split(), *_lines(folder / VERIFIER_FILE)]
        return tuple(dict.fromkeys(_verifier(text) for text in listed))
    except NoteRefused as problem:
        raise UnsafeSettings([f"a key of the audit log cannot be used: {problem}"]) from problem


def rotate(settings: Settings) -> VerifierKey:
    """Exchange the key in the file for a new one of the same name; the old one's checkpoints stay valid.

    Raises UnsafeSettings when the key comes from PORTAL_AUDIT_SIGNING_KEY: then it is exchanged there.
    """
    if settings.audit_signing_key:
        raise UnsafeSettings(["exchange PORTAL_AUDIT_SIGNING_KEY and keep the old one in …_PREVIOUS"])
    old = load(settings)
    folder = settings.data_path / "keys"
    new = SigningKey(old.origin, ids.random_bytes(32))
    beside = folder / (SIGNING_FILE + ".new")
    _write_secret(beside, new.secret_text())
    _remember(folder, new.verifier)
    beside.replace(folder / SIGNING_FILE)
    return new.verifier


def _kept(settings: Settings) -> SigningKey:
    path = settings.data_path / "keys" / SIGNING_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_name(f"{SIGNING_FILE}.{ids.random_id()}")
        _write_secret(beside, SigningKey(_origin(settings), ids.random_bytes(32)).secret_text())
        # A link never replaces: where another process of the same start was faster, its key is the key.
        with suppress(FileExistsError):
            path.hardlink_to(beside)
        beside.unlink()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeSettings([f"{path} may be read by others; run chmod 600 on it, and exchange the key"])
    return SigningKey.parse(path.read_text("utf-8").strip())


def _origin(settings: Settings) -> str:
    return f"{urlsplit(settings.base_url).netloc or 'localhost'}/audit"


def _verifier(text: str) -> VerifierKey:
    return SigningKey.parse(text).verifier if text.startswith("PRIVATE+KEY+") else VerifierKey.parse(text)


def _remember(folder: Path, key: VerifierKey) -> None:
    if str(key) in _lines(folder / VERIFIER_FILE):
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / VERIFIER_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{key}\n")


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").split() if path.exists() else []


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
