"""Writes the lock files anew, or checks that they are in step with pyproject.toml and client/package.json.

    python scripts/lock.py            needs the package indexes (make lock)
    python scripts/lock.py --check    needs nothing (make check)

Lock files hold names, versions and hashes for every platform, and no download addresses.
"""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "client"
LOCKS = {"requirements.lock": [], "requirements-dev.lock": ["dev"]}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def main() -> None:
    """Write or check; a failed check is named line by line."""
    if "--check" in sys.argv[1:]:
        wrong = check(ROOT)
        sys.exit("\n".join([*wrong, "Run `make lock`."]) if wrong else 0)
    for name, extras in LOCKS.items():
        write(name, extras)
    npm = ["npm", "install", "--package-lock-only", "--ignore-scripts"]
    subprocess.run([str(Path(sys.executable).parent / npm[0]), *npm[1:]], cwd=CLIENT, check=True)  # noqa: S603
    if wrong := check(ROOT):
        sys.exit("\n".join(wrong))


def write(name: str, extras: list[str]) -> None:
    """Resolve and write one lock file. The second one keeps every version of the first."""
    target = ROOT / name
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version=3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"]
    command += [word for extra in extras for word in ("--extra", extra)]
    if extras:
        command += ["--constraint", "requirements.lock"]
    resolved = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
    head = f"# Made by `make lock` from pyproject.toml, dependencies {fingerprint(ROOT, extras)}\n"
    target.write_text(head + resolved, "utf-8")


def fingerprint(root: Path, extras: list[str]) -> str:
    """A short hash of the dependencies that pyproject.toml names."""
    return hashlib.sha256(json.dumps(_wanted(root, extras)).encode()).hexdigest()[:16]


def check(root: Path) -> list[str]:
    """What is wrong with the lock files, one sentence each; empty when nothing is."""
    wrong = []
    for name, extras in LOCKS.items():
        text = (root / name).read_text("utf-8")
        if fingerprint(root, extras) not in text.splitlines()[0]:
            wrong.append(f"{name} was made from other dependencies than pyproject.toml names now")
        if "://" in text or "--index-url" in text or "--find-links" in text:
            wrong.append(f"{name} holds a download address")
        pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))
        for requirement in _wanted(root, extras):
            package, _, version = requirement.partition("==")
            key = re.sub(r"[._-]+", "-", _NAME.match(package)[0]).lower()  # type: ignore[index]
            if pinned.get(key) != version:
                wrong.append(f"{name} has {key} {pinned.get(key)}, pyproject.toml wants {version}")
    package = json.loads((root / "client/package.json").read_text("utf-8"))
    lock = json.loads((root / "client/package-lock.json").read_text("utf-8"))
    for kind in ("dependencies", "devDependencies"):
        if lock["packages"][""].get(kind, {}) != package.get(kind, {}):
            wrong.append(f"client/package-lock.json and package.json differ in {kind}")
    if any("resolved" in entry for entry in lock["packages"].values()):
        wrong.append("client/package-lock.json holds download addresses")
    return wrong


def _wanted(root: Path, extras: list[str]) -> list[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]


if __name__ == "__main__":
    main()
