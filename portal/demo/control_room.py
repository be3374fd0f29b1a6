"""The demo's control room: `/demo`."""

from flask import Flask


def attach(app: Flask) -> None:
    """Put the control room into a demo portal."""
