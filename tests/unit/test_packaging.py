"""What is installed works from any directory, and the same sources give the same bytes."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOOK = (
    "from portal.core import resources\n"
    "for name in ('templates', 'migrations', 'fhir', 'static'):\n"
    "    print(resources.directory(name))\n"
    "from portal.web.assets import assets\n"
    "assert assets.url('portal.css').startswith('/static/portal-')\n"
    "from portal.core import migrating\n"
    "assert migrating.newest()\n"
)


NOT_COPIED = (
    ".*cache*",
    ".git",
    ".venv",
    ".hypothesis",
    "__pycache__",
    "node_modules",
    "build",
    "dist",
    "static",
    "var",
    "tests",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone: what is built here disturbs nobody who builds or serves from the checkout."""
    copy = tmp_path_factory.mktemp("sources") / "portal"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (copy / "client" / "node_modules").symlink_to(ROOT / "client" / "node_modules")
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a wheel, built by the real build hook."""
    return build_wheel(tree, tmp_path_factory.mktemp("wheel"))


def build_wheel(tree: Path, folder: Path) -> Path:
    """Build without isolation: the environment of the tests holds the build requirements."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=tree, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_a_fresh_environment_finds_everything_from_any_directory(wheel: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=False, symlinks=True)
    python = fresh / "bin" / "python"
    (site,) = fresh.glob("lib/python*/site-packages")
    # The dependencies of this environment, without its editable portal (.pth files are not followed from here).
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = subprocess.run(
        [python, "-I", "-c", LOOK], cwd=elsewhere, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert all(Path(folder).is_relative_to(site) for folder in found)
    help_text = subprocess.run(
        [fresh / "bin" / "portal", "doctor", "--help"], cwd=elsewhere, check=True, capture_output=True, text=True
    ).stdout
    assert "doctor" in help_text
    assert list(elsewhere.iterdir()) == []


def test_the_same_sources_give_the_same_wheel(wheel: Path, tree: Path, tmp_path: Path) -> None:
    assert build_wheel(tree, tmp_path).read_bytes() == wheel.read_bytes()


def test_the_same_sources_give_the_same_client(wheel: Path, tree: Path, tmp_path: Path) -> None:
    node = Path(sys.executable).parent / "node"
    subprocess.run([node, tree / "client" / "build.mjs", "--out", tmp_path], check=True, stdout=subprocess.DEVNULL)
    first, second = ({one.name: one.read_bytes() for one in folder.iterdir()} for folder in (_static(tree), tmp_path))
    assert first == second
    assert "manifest.json" in first


def _static(tree: Path) -> Path:
    return tree / "portal" / "static"
