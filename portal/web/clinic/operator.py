"""The operator's page: settings, jobs that failed, the last checkpoint. No patient, no message."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from portal.accounts.roles import Role
from portal.audit.tables import AuditCheckpoint
from portal.core.errors import BadInput
from portal.core.settings import Settings
from portal.outbox import dead_letters
from portal.web.acting import roles_only
from portal.web.wiring import services

blueprint = Blueprint("operator", __name__)
# Whether these are set may be shown, never what they are.
_SECRET = ("secret", "password", "private_key", "database_url", "redis_url", "smtp_url")


@blueprint.get("/operator")
@roles_only(Role.OPERATOR)
def overview() -> str:
    """How the server stands."""
    settings = services().settings
    with services().database.reading() as session:
        dead = dead_letters.find(session, after=request.args.get("after", ""))
        backlog = dead_letters.backlog(session)
        checkpoint = session.scalar(select(AuditCheckpoint).order_by(AuditCheckpoint.size.desc()).limit(1))
    return render_template(
        "operator/overview.html",
        settings=shown_settings(settings),
        unsafe=settings.unsafe(),
        dead=dead,
        backlog=backlog,
        checkpoint=checkpoint,
    )


@blueprint.post("/operator/dead-letters")
@roles_only(Role.OPERATOR)
def decide() -> ResponseReturnValue:
    """Try a dead letter again, or give it up."""
    acts = {"retry": dead_letters.retry, "give-up": dead_letters.give_up}
    act = acts.get(request.form.get("act", ""))
    if act is None:
        raise BadInput("bad-field")
    with services().database.transaction() as session:
        act(session, request.form.get("job", ""))
    return redirect("/operator", 303)


def shown_settings(settings: Settings) -> list[tuple[str, str | None]]:
    """Variable and value; a secret's value is None when set and "" when not."""
    shown: list[tuple[str, str | None]] = []
    for name, field in type(settings).__dataclass_fields__.items():
        value = str(getattr(settings, name))
        secret = any(part in name for part in _SECRET)
        shown.append((str(field.metadata["variable"]), (None if value else "") if secret else value))
    return shown
