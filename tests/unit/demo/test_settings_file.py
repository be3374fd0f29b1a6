"""What the demo writes for the operator's commands: a file to source, for its owner alone."""

import subprocess
from pathlib import Path

from portal.core.settings import from_environment
from portal.demo import run


def test_the_settings_of_a_demo_are_read_by_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a demo's folder"
    folder.mkdir()
    settings = run.demo_settings(folder, 5100, None)
    path = folder / run.SETTINGS
    run._write_settings(settings, path)
    assert path.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(
        ["/bin/sh", "-c", '. "$1"; env -0', "sh", path], capture_output=True, text=True, check=True, env={}
    ).stdout
    read = from_environment(dict(line.split("=", 1) for line in said.split("\0") if line))
    for name in run.SHOWN:
        assert getattr(read, name) == getattr(settings, name), name


def test_the_greeting_names_commands_that_run(tmp_path: Path) -> None:
    said = run._greeting(run.demo_settings(tmp_path, 5100, None), [], run.Start.STORY)
    command = next(line.split()[0] for line in said.splitlines() if line.endswith(" verify-audit"))
    assert Path(command).exists()
    assert f". {tmp_path}/settings.env" in said
