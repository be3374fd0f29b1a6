"""What someone reads whose machine lacks something, and what a second start skips."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/setup.py, working in a folder of its own."""
    spec = importlib.util.spec_from_file_location("setup_of_the_portal", ROOT / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in (
        ("VENV", tmp_path / ".venv"),
        ("PYTHON", tmp_path / ".venv/bin/python"),
        ("STAMP", tmp_path / ".venv/setup.json"),
    ):
        monkeypatch.setattr(module, name, path)
    return module


def test_debians_missing_package_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(setup.Missing, match="sudo apt-get install python3-venv"):
        setup.make_environment()


def test_a_python_that_is_too_old_is_told_what_to_install(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(setup.shutil, "which", lambda name: None)
    with pytest.raises(setup.Missing, match=r"Python 3\.11 or newer is needed; this is 3\.9"):
        setup.find_new_enough_python()


def test_a_newer_python_beside_the_old_one_is_used(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(setup.shutil, "which", lambda name: "/usr/bin/python3.12" if name == "python3.12" else None)

    def replace(program: str, arguments: list[str]) -> None:
        ran.append((program, arguments[1:3]))
        raise SystemExit

    monkeypatch.setattr(setup.os, "execv", replace)
    with pytest.raises(SystemExit):
        setup.find_new_enough_python()
    assert ran == [("/usr/bin/python3.12", ["-I", "-S"])]


def test_a_failed_step_shows_its_last_words_and_one_sentence(
    setup: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(setup.Missing, match=r"It did not work\. What the command said is above"):
        setup.run([sys.executable, "-c", "print('no such host'); raise SystemExit(3)"], "It did not work.")
    assert "no such host" in capsys.readouterr().err


def test_a_missing_lock_file_is_named(setup: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(setup.Missing, match=r"requirements\.lock is missing"):
        setup.digest(tmp_path / "requirements.lock")


def test_an_environment_that_lost_its_python_is_made_anew(setup: ModuleType) -> None:
    setup.VENV.mkdir()
    setup.STAMP.write_text(json.dumps({"packages": "x", "project": "y"}))
    assert setup.read_stamp() == {}
    setup.PYTHON.parent.mkdir()
    setup.PYTHON.touch()
    assert setup.read_stamp() == {"packages": "x", "project": "y"}
