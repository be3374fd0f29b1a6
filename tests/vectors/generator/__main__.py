"""Writes all files, and what libraries drew for them."""

import json
import sys
from pathlib import Path

from . import FILES, make
from .randomness import RANDOMNESS, TAPE

FOLDER = Path(__file__).parent.parent / "rxe2ee"

FOLDER.mkdir(exist_ok=True)
for kind in FILES:
    (FOLDER / f"{kind}.json").write_text(make(kind))
TAPE.write_text(json.dumps(dict(sorted(RANDOMNESS.used.items())), indent=0) + "\n")
sys.stdout.write(f"{len(FILES)} files\n")
