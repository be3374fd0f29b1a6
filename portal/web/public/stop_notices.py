"""Stopping notices of a kind from a mail, without signing in: one tap in the mail program, or a page with a button.

Opening the link changes nothing, since programs that look at mails open links. The mail program's own button sends
`List-Unsubscribe=One-Click` (RFC 8058); it comes without cookies and from anywhere, so the sealed token is its only
proof, and what it can do is this alone.
"""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from portal.accounts import telling
from portal.accounts.telling import Channel, Kind
from portal.audit import Agent
from portal.core.errors import BadInput, NotFound
from portal.identity.flask_session import open_when_locked
from portal.notify.one_tap import PATH, OneTap, Stopped
from portal.web import limits
from portal.web.wiring import client_address, request_id, services

blueprint = Blueprint("stop_notices", __name__)
# How often one address may send it; mail programs of a whole provider may come from one.
PER_ADDRESS = "600 per minute"


@blueprint.get(f"{PATH}/<token>")
@limits.at_most(PER_ADDRESS)
@open_when_locked
def ask(token: str) -> str:
    """What the link stops, and the button that does it."""
    kind, channel, wanted = _standing(_read(token))
    return _page(token, kind, channel, "ask" if wanted else "stopped")


@blueprint.post(f"{PATH}/<token>")
@limits.at_most(PER_ADDRESS)
@open_when_locked
def stop(token: str) -> ResponseReturnValue:
    """Stop them; or, by the page's other button, have them again."""
    about = _read(token)
    again = request.form.get("act") == "again"
    if not again and request.form.get("act") != "stop" and request.form.get("List-Unsubscribe") != "One-Click":
        raise BadInput("bad-field")
    kind, channel = Kind(about.kind), Channel(about.channel)
    agent = Agent(None, None, address=client_address(), request_id=request_id())
    with services().database.transaction() as session:
        telling.set_by_link(session, account_id=about.account_id, kind=kind, channel=channel, wanted=again, agent=agent)
    return _page(token, kind, channel, "again" if again else "stopped")


def _read(token: str) -> Stopped:
    about = OneTap(services().settings.secret_keys, services().settings.base_url).read(token)
    if about is None or about.kind not in set(Kind) or about.channel not in set(Channel):
        raise NotFound()
    return about


def _standing(about: Stopped) -> tuple[Kind, Channel, bool]:
    kind, channel = Kind(about.kind), Channel(about.channel)
    with services().database.reading() as session:
        return kind, channel, telling.wants(session, about.account_id, kind, channel)


def _page(token: str, kind: Kind, channel: Channel, state: str) -> str:
    return render_template(
        "public/stop_notices.html", action=f"{PATH}/{token}", kind=kind.value, channel=channel.value, state=state
    )
