"""The lock files are checked against what the project says it needs."""

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
import lock  # noqa: E402


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the check reads."""
    (tmp_path / "client").mkdir()
    names = ("pyproject.toml", "requirements.lock", "requirements-dev.lock")
    for name in (*names, "client/package.json", "client/package-lock.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_committed_lock_files_are_in_step() -> None:
    assert lock.check(ROOT) == []


def test_a_changed_dependency_is_named(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"flask==3.1.3"', '"flask==3.1.2"'))
    wrong = lock.check(checkout)
    assert "requirements.lock has flask 3.1.3, pyproject.toml wants 3.1.2" in wrong
    assert any("other dependencies" in sentence for sentence in wrong)


def test_a_download_address_is_named(checkout: Path) -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        path = checkout / name
        path.write_text(path.read_text() + "--index-url https://packages.example\n")
    package_lock = checkout / "client/package-lock.json"
    changed = json.loads(package_lock.read_text())
    changed["packages"]["node_modules/preact"]["resolved"] = "https://packages.example/preact.tgz"
    package_lock.write_text(json.dumps(changed))
    assert sum("download address" in sentence for sentence in lock.check(checkout)) == 3
