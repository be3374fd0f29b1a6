"""The embedded FHIR sandbox served alone, with the demo's patients in it."""

import sys
from pathlib import Path

from flask import Flask

from portal.demo.sandbox import create_sandbox
from portal.serving import Plan, serve


def main(port: int, folder: Path) -> None:
    """Serve until ended: one process, as in the demo."""

    def app() -> Flask:
        return create_sandbox(folder / "fhir.sqlite3", f"http://localhost:{port}/fhir")

    serve(app, Plan(f"127.0.0.1:{port}", 1, 16))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
