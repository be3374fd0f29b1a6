"""The browser's half of rxe2ee/1 in a real browser: the same vectors as in Node, with the browser's own X-Wing and
ML-DSA and without them, as in a browser that has never heard of them."""

import json
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from running import SOON

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"

# A browser of some years ago: the names of the newer algorithms are unknown to it.
UNKNOWN = """
const unknown = (algorithm) => /^(NAMES)/.test(String(algorithm?.name ?? algorithm));
for (const [name, at] of [["generateKey", 0], ["importKey", 2]]) {
  const own = SubtleCrypto.prototype[name];
  SubtleCrypto.prototype[name] = function (...args) {
    if (unknown(args[at])) return Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"));
    return own.apply(this, args);
  };
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's own output is enough."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page on localhost, which browsers take for a secure context, with the runner and the vectors beside it."""
    folder = tmp_path_factory.mktemp("vectors")
    subprocess.run(["node", "client/test.mjs", "--bundle", str(folder / "runner.js")], cwd=ROOT, check=True)
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><title>Vectors</title><script type="module" src="runner.js"></script>'
    )
    (folder / "vectors").symlink_to(VECTORS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://localhost:{server.server_address[1]}/index.html"
    server.shutdown()
    serving.join()
    server.server_close()


def _page(browser: Browser, address: str, script: str | None = None) -> Page:
    page = browser.new_context().new_page()
    page.set_default_timeout(10 * SOON)
    if script is not None:
        page.add_init_script(script)
    page.goto(address)
    page.wait_for_function("globalThis.vectors !== undefined")
    return page


BROWSERS = {
    "native": None,
    "switched off": None,
    "without post-quantum": UNKNOWN.replace("NAMES", "MLKEM|ML-KEM|ML-DSA"),
    "without Ed25519 too": UNKNOWN.replace("NAMES", "MLKEM|ML-KEM|ML-DSA|Ed25519"),
}


@pytest.fixture(scope="module", params=BROWSERS)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """The runner with the browser's own algorithms, with our switch against them, and in browsers without them."""
    page = _page(browser, address, BROWSERS[request.param])
    page.evaluate("on => vectors.native(on)", request.param != "switched off")
    yield page
    uses = page.evaluate("vectors.nativeUses()")
    page.context.close()
    assert (uses > 0) == (request.param == "native"), f"{uses} uses of the browser's own X-Wing"


def _own_files() -> list[str]:
    return sorted(str(path.relative_to(VECTORS)) for path in VECTORS.glob("rxe2ee*/*.json"))


def test_the_corpus(page: Page) -> None:
    """Threads, reports and attachments come out as in the other language."""
    outcome = page.evaluate("async () => vectors.runCorpus(await (await fetch('vectors/corpus.json')).text())")
    assert outcome["failures"] == []
    corpus = json.loads((VECTORS / "corpus.json").read_text())
    assert outcome["passed"] == len(corpus["corpus"]) + len(corpus["reports"]) + len(corpus["atts"])


@pytest.mark.parametrize("file", _own_files())
def test_our_own_vectors(page: Page, file: str) -> None:
    """What Python and Node made, and what they refuse."""
    outcome = page.evaluate(
        "async file => vectors.runVectors(file, await (await fetch('vectors/' + file)).text())", file
    )
    assert outcome["failures"] == []
    assert outcome["passed"] > 0


def test_a_long_thread_opens_in_small_steps(page: Page) -> None:
    """All of a thousand messages are opened, and the reader hands over often in between."""
    measured = page.evaluate("vectors.measure(1000)")
    assert measured["opened"] == 1000
    print(f"1,000 messages: {measured['all']:.0f} ms, longest step {measured['longest']:.0f} ms")
