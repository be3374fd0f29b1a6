"""The demo world's threads, really sealed by the connector."""

from collections.abc import Callable

from flask import Flask

PASSPHRASE = "river lantern copper meadow violin"  # noqa: S105  printed at every start of the demo


def tell(app: Flask, *, progress: Callable[[str], None]) -> None:
    """Make keys, teams and threads of everybody who is enrolled."""
