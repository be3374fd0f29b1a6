"""`portal` with an audit writer that writes nothing, to know what the record costs. No setting does this."""

import importlib
import sys
from typing import Any

from portal import audit


def nothing(*_: Any, **__: Any) -> None:
    """Instead of a row."""


# Before anything else of the portal is imported, so that everybody gets this one.
importlib.import_module("portal.audit.record").record = nothing  # type: ignore[attr-defined]
audit.record = nothing

if __name__ == "__main__":
    from portal.cli import main

    sys.exit(main(sys.argv[1:]))
