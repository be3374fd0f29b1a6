"""Write revision 0001 anew from the tables, on an empty database. Only while no release has shipped it."""

import tempfile
from pathlib import Path

from portal.core import migrating
from portal.core.database import Database

versions = Path(__file__).parent / "versions"
later = {path: path.read_text("utf-8") for path in versions.glob("*.py") if not path.name.startswith("0001")}
for path in versions.glob("*.py"):
    path.unlink()
with tempfile.TemporaryDirectory() as folder:
    database = Database(f"sqlite:///{folder}/empty.sqlite3")
    migrating.draft(database, "0001", "tables")
    database.close()
for path, text in later.items():
    path.write_text(text, "utf-8")
