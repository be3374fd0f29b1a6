"""What must be in no file of this repository, and what must be in no line of the portal's own code."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ROOT / "portal"
# Places of the machine something was written on, and hosts that packages were fetched from: neither helps a reader.
# Written in two halves, so that this file does not hold them itself.
MACHINES = [
    "/" + "work/",
    "/" + "root/",
    "/home/" + "runner",
    "/tmp/" + "team",
    "." + "library/",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "pypi" + ".org/simple",
]
BINARY = {".png", ".jpg", ".webp", ".ico", ".woff2", ".gz", ".pdf"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.fail("git does not list the files of this repository")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        if path.suffix in BINARY or not path.is_file():
            continue
        text = path.read_text("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {name}" for name in MACHINES if name in text]
    assert found == []


def python_files(*without: str) -> list[Path]:
    return [path for path in CODE.rglob("*.py") if not any(part in path.relative_to(CODE).parts for part in without)]


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Each call with the name it calls: `print`, `text`, `uuid.uuid4`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            found.append((ast.unparse(node.func), node))
    return found


def test_randomness_comes_from_one_place_and_is_never_the_guessable_kind() -> None:
    allowed = {"core/ids.py"}
    found = []
    for path in python_files("demo"):
        name = path.relative_to(CODE).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if {"random", "uuid"} & set(modules) or ("secrets" in modules and name not in allowed):
                found.append(f"{name}: {modules}")
    assert found == []


def test_sql_as_text_is_constant() -> None:
    """`text()` takes a literal, or one put together from constants of the same module; never what a request said."""
    found = []
    for path in python_files("demo"):
        # Rights are given by the owner of the tables, to a role and tables that are quoted names of its own.
        if path.relative_to(CODE).as_posix() == "core/granting.py":
            continue
        if not re.search(r"from sqlalchemy import .*\btext\b", path.read_text("utf-8")):
            continue
        for name, call in calls(path):
            if name == "text" and call.args:
                first = call.args[0]
                if not isinstance(first, ast.Constant) and not (isinstance(first, ast.Name) and first.id.isupper()):
                    found.append(f"{path.relative_to(CODE)}:{call.lineno}: {ast.unparse(first)[:80]}")
    assert found == []


def test_only_commands_print() -> None:
    talking = {"cli.py", "doctor.py", "worker.py", "serving.py"}
    found = [
        f"{path.relative_to(CODE)}:{call.lineno}"
        for path in python_files("demo", "connector")
        if path.name not in talking
        for name, call in calls(path)
        if name in ("print", "pprint", "sys.stdout.write")
    ]
    assert found == []


def test_nothing_runs_text_or_unpickles() -> None:
    dangerous = {"eval", "exec", "pickle.loads", "pickle.load", "yaml.load", "os.system", "marshal.loads"}
    found = [
        f"{path.relative_to(CODE)}:{call.lineno}: {name}"
        for path in python_files()
        for name, call in calls(path)
        if name in dangerous
    ]
    assert found == []


def test_the_web_layer_reads_the_clock_of_the_core() -> None:
    """`datetime.now` and `date.today` would not move with the tests' and the demo's clock."""
    found = [
        f"{path.relative_to(CODE)}:{call.lineno}: {name}"
        for path in python_files("demo")
        if path.relative_to(CODE).as_posix() != "core/clock.py"
        for name, call in calls(path)
        if name in ("datetime.now", "datetime.utcnow", "date.today", "datetime.datetime.now")
    ]
    assert found == []


def test_no_template_trusts_text_as_html() -> None:
    found = []
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text("utf-8")
        if re.search(r"\|\s*safe\b|autoescape\s+false|<script(?![^>]*\bsrc=)|\son[a-z]+=[\"']|javascript:", text):
            found.append(str(path.relative_to(ROOT)))
    assert found == []
