"""`portal connector` and the file it keeps."""

import argparse
import io
import json
from pathlib import Path

import pytest
from town import PASSPHRASE, TEAM, Town

from portal.connector import command, keyfile
from portal.connector.client import LoginForm, PortalClient
from portal.connector.messages import Message
from portal.core.errors import BadInput
from portal.e2ee.reasons import Reason, Refused
from portal.e2ee.records import Role


def say(client: PortalClient, *arguments: str) -> list[dict[str, object]]:
    """Run the command in a session that is signed in; what it prints."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    output = io.StringIO()
    given = parser.parse_args(["--portal", "http://localhost", *arguments])
    assert command.run(given, client=client, output=output) == 0
    return [json.loads(line) for line in output.getvalue().splitlines()]


@pytest.fixture
def keys(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The key file of a connector that has joined as Bob."""
    monkeypatch.setenv(command.PASSPHRASE, PASSPHRASE)
    path = tmp_path / "bob.keys"
    [joined] = say(town.client("bob"), "--keys", str(path), "join")
    assert joined["account"] == town["bob"].person.id
    return path


def thread_of_alice(town: Town) -> str:
    """A question of Alice's."""
    alice = town["alice"]
    return alice.start_thread(
        Message("Is it here?"),
        pharmacy="riverside",
        patient=town.world.patients["alice"],
        topic="medicine",
        team=TEAM,
        people={alice.person.id: Role.PATIENT},
    ).id


def test_a_service_reads_and_answers(town: Town, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = thread_of_alice(town)
    [head] = say(town.client("bob"), "--keys", str(keys), "inbox")
    assert head["thread"] == thread
    [line] = say(town.client("bob"), "--keys", str(keys), "read", thread)
    assert line["text"] == "Is it here?"
    monkeypatch.setattr("sys.stdin", io.StringIO("It is."))
    [sent] = say(town.client("bob"), "--keys", str(keys), "send", thread, "--id", "a" * 32)
    monkeypatch.setattr("sys.stdin", io.StringIO("It is."))
    assert say(town.client("bob"), "--keys", str(keys), "send", thread, "--id", "a" * 32) == [sent]
    alice = town["alice"]
    assert [one.text for one in alice.read(alice.thread(thread))] == ["Is it here?", "It is."]


def test_the_key_file_is_for_its_owner_alone(keys: Path) -> None:
    assert keys.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in keys.parent.iterdir() if "keys" in path.name] == ["bob.keys"]


def test_the_key_file_remembers_how_far_a_thread_had_come(town: Town, keys: Path) -> None:
    thread = thread_of_alice(town)
    say(town.client("bob"), "--keys", str(keys), "read", thread)
    kept = json.loads(keys.read_text())
    kept["heads"][thread][0] += 1
    keys.write_text(json.dumps(kept))
    with pytest.raises(Refused) as refused:
        say(town.client("bob"), "--keys", str(keys), "read", thread)
    assert refused.value.reason is Reason.ROLLBACK


@pytest.mark.parametrize("content", ["", "{}", '{"user": 1}', "[]"])
def test_a_file_that_holds_no_keys_is_named(town: Town, tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.keys"
    path.write_text(content)
    with pytest.raises(BadInput) as wrong:
        keyfile.resume(path, town.client("bob"))
    assert wrong.value.extra == {"field": "keys"}


def test_the_secret_must_be_given(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(command.PASSPHRASE, raising=False)
    with pytest.raises(BadInput) as wrong:
        say(town.client("bob"), "--keys", str(tmp_path / "x"), "join")
    assert wrong.value.extra == {"field": command.PASSPHRASE}


def test_the_form_with_a_password_is_the_one() -> None:
    page = """<form action="/search"><input name="q"></form>
      <form action="/in" method="post"><input type="hidden" name="state" value="s"><input name="username">
      <input type="password" name="pw"></form><form><input name="x"><input type="password" name="y"></form>"""
    form = LoginForm.in_page(page)
    assert form is not None
    assert (form.action, form.filled("bob", "demo")) == ("/in", {"state": "s", "username": "bob", "pw": "demo"})
    assert LoginForm.in_page("<form><input name='q'></form>") is None
