"""The built client: names become hashed addresses, and only what the manifest lists is served."""

import gzip
import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal.core import errors
from portal.web import assets as subject

SCRIPT = b"console.log(1)"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A built client of two files."""
    folder = tmp_path / "static"
    folder.mkdir()
    entry = {"integrity": "sha384-x", "bytes": len(SCRIPT), "gz": 12}
    listed = {
        "thread.js": {**entry, "file": "thread-0123.js"},
        "worker-crypto.js": {**entry, "file": "worker-crypto-4567.js"},
        "worker-help.js": {**entry, "file": "worker-help-89ab.js"},
    }
    (folder / "manifest.json").write_text(json.dumps(listed))
    for file in ("thread-0123.js", "worker-crypto-4567.js", "worker-help-89ab.js", "unlisted.js"):
        (folder / file).write_bytes(SCRIPT)
    (folder / "thread-0123.js.gz").write_bytes(gzip.compress(SCRIPT))
    return folder


@pytest.fixture
def browser(built: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A browser that asks for files only."""
    monkeypatch.setattr(subject, "assets", subject.Assets(built))
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(subject.blueprint)
    app.register_error_handler(errors.NotFound, lambda problem: ("", 404))
    return app.test_client()


def test_a_name_becomes_its_hashed_address(built: Path) -> None:
    assets = subject.Assets(built)
    assert assets.url("thread.js") == "/static/thread-0123.js"
    assert assets.integrity("thread.js") == "sha384-x"


def test_an_unknown_name_says_what_there_is(built: Path) -> None:
    with pytest.raises(
        subject.UnknownAsset, match=r"no 'inbox\.js'; it has thread\.js, worker-crypto\.js, worker-help\.js"
    ):
        subject.Assets(built).url("inbox.js")


def test_a_client_that_was_never_built_is_noticed_only_when_it_is_needed(tmp_path: Path) -> None:
    assets = subject.Assets(tmp_path)
    with pytest.raises(FileNotFoundError):
        assets.url("thread.js")


def test_a_file_may_be_kept_for_ever_and_comes_compressed(browser: FlaskClient) -> None:
    plain = browser.get("/static/thread-0123.js")
    assert plain.data == SCRIPT
    assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert plain.headers["Content-Type"] == "text/javascript; charset=utf-8"
    packed = browser.get("/static/thread-0123.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(packed.data) == SCRIPT


def test_one_worker_alone_may_stand_in_for_pages(browser: FlaskClient) -> None:
    allowed = {
        file: browser.get(f"/static/{file}").headers.get("Service-Worker-Allowed")
        for file in ("thread-0123.js", "worker-crypto-4567.js", "worker-help-89ab.js")
    }
    assert allowed == {"thread-0123.js": None, "worker-crypto-4567.js": None, "worker-help-89ab.js": "/"}


@pytest.mark.parametrize("file", ["unlisted.js", "manifest.json", "thread-0123.js.gz", "thread.js", "..%2fsecret"])
def test_only_what_the_manifest_lists_is_served(browser: FlaskClient, file: str) -> None:
    assert browser.get(f"/static/{file}").status_code == 404
