"""The database's schema over time: Alembic, run from code so that it works from any directory.

A server that starts needs none of it: Alembic is imported by what uses it.
"""

import importlib
import pkgutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sqlalchemy import MetaData

import portal
from portal.core import resources
from portal.core.database import Base, Database

if TYPE_CHECKING:
    from alembic.config import Config


def metadata() -> MetaData:
    """All tables: importing every `portal.<subject>.tables` module is what makes them known."""
    for package in pkgutil.iter_modules(portal.__path__, "portal."):
        if package.ispkg and find_spec(f"{package.name}.tables"):
            importlib.import_module(f"{package.name}.tables")
    return Base.metadata


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to `revision`."""
    from alembic import command

    _run(database, lambda config: command.upgrade(config, revision))


def downgrade(database: Database, revision: str) -> None:
    """Take the schema down to `revision` (`base` removes everything)."""
    from alembic import command

    _run(database, lambda config: command.downgrade(config, revision))


def draft(database: Database, revision: str, message: str) -> None:
    """Write a migration for what the tables say and the database lacks (for developers; read it before committing)."""
    from alembic import command

    def write(config: "Config") -> None:
        command.revision(config, message=message, rev_id=revision, autogenerate=True)

    _run(database, write)


def current(database: Database) -> str | None:
    """The revision the database is at; None when it is empty."""
    from alembic.migration import MigrationContext

    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """The revision the code expects."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.directory("migrations")))
    return config


def _run(database: Database, act: "Callable[[Config], None]") -> None:
    config = _config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        act(config)
        connection.commit()
