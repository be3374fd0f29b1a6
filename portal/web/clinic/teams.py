"""The shell of the teams page."""

from flask import Blueprint, Response

from portal.identity.flask_session import open_when_locked
from portal.web.pages import key_page

blueprint = Blueprint("teams_page", __name__)


@blueprint.get("/team")
@open_when_locked
def team() -> Response:
    """Founding teams, letting people in, taking them out."""
    return key_page("team")
