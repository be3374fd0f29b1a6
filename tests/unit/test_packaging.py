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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a wheel, built by the real build hook."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def build_wheel(folder: Path) -> Path:
    """Build without isolation: the environment of the tests holds the build requirements."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
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


def test_the_same_sources_give_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_the_same_sources_give_the_same_client(tmp_path: Path) -> None:
    node = Path(sys.executable).parent / "node"
    contents = []
    for name in ("first", "second"):
        out = tmp_path / name
        subprocess.run([node, ROOT / "client" / "build.mjs", "--out", out], check=True, stdout=subprocess.DEVNULL)
        contents.append({path.name: path.read_bytes() for path in out.iterdir()})
        shutil.rmtree(out)
    assert contents[0] == contents[1]
    assert "manifest.json" in contents[0]
