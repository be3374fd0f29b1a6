"""The shells of the pages about threads, for patients and staff alike: no data in them (design decision 3)."""

from flask import Blueprint, Response

from portal.web.pages import key_page

blueprint = Blueprint("thread_pages", __name__)


@blueprint.get("/inbox")
@blueprint.get("/messages")
@blueprint.get("/new")
def inbox() -> Response:
    """The list of conversations, and the way to a new one."""
    return key_page("thread")


@blueprint.get("/thread/<thread_id>")
def thread(thread_id: str) -> Response:
    """One conversation; whose it is, the JSON routes decide."""
    return key_page("thread")
