"""The key vault: a person's seeds under the user root key, which the server never has (docs/protocol.md section 2)."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from portal.accounts import policy, stops
from portal.accounts.actor import Actor
from portal.accounts.forms import answering_refusals, first_wins
from portal.accounts.on_record import note_keys
from portal.accounts.tables import KeyVault
from portal.audit import Action, Entity
from portal.core import clock
from portal.core.errors import BadInput, Conflict, Forbidden, TooLarge
from portal.e2ee import form
from portal.e2ee.encoding import unb64

LARGEST_VAULT = 64 * 1024


@dataclass(frozen=True)
class Vault:
    """The sealed seeds, as the person's browser left them. `rev` counts from 1."""

    rev: int
    vault: dict[str, Any]


def read(session: Session, *, actor: Actor) -> Vault | None:
    """The actor's vault: only for a session bound to a certified device, or within 5 minutes of a login; else None.

    Somebody without a device gets none while the account is stopped.
    Recorded, because with a passphrase it is what opens everything.
    """
    stopped = stops.standing(session, actor.account_id) is not None
    if actor.device_id is None and (stopped or not policy.fresh_login(actor)):
        return None
    row = session.get(KeyVault, actor.account_id)
    if row is None:
        return None
    note_keys(session, actor=actor, action=Action.KEY_VAULT_READ, detail={"rev": row.rev})
    return Vault(row.rev, row.vault)


def replace(session: Session, *, actor: Actor, rev: int, vault: dict[str, Any]) -> int:
    """Store revision `rev` of the vault, which must follow the one that is there. Returns it.

    Asks for a fresh login: whoever overwrites the vault takes the seeds away for ever. Raises StepUpNeeded, Forbidden
    without a certified device, BadInput for another form or user, Conflict `moved-vault` with the revision that is
    there.
    """
    policy.needs_step_up(actor)
    if actor.device_id is None:
        raise Forbidden("device-needed")
    put(session, actor=actor, rev=rev, vault=vault)
    return rev


def put(session: Session, *, actor: Actor, rev: int, vault: dict[str, Any], owner: str | None = None) -> None:
    """As `replace`, for acts that have made sure of the person themselves (first keys, a new identity).

    `owner` is whose vault it is, where that is not the actor: keys made ahead.
    """
    owner = owner or actor.account_id
    _check(owner, rev, vault)
    stops.hold(session, owner)
    row = session.get(KeyVault, owner, with_for_update=True)
    there = row.rev if row is not None else 0
    if rev != there + 1:
        raise Conflict("moved-vault", extra={"rev": there})
    if row is None:
        with first_wins(session, "moved-vault"):
            session.add(KeyVault(account_id=owner, rev=rev, vault=vault, set_at=clock.now()))
    else:
        row.rev, row.vault, row.set_at = rev, vault, clock.now()
    note_keys(
        session, actor=actor, action=Action.KEY_VAULT_CHANGED, entity=Entity("Account", owner), detail={"rev": rev}
    )


def _check(account_id: str, rev: int, vault: dict[str, Any]) -> None:
    # What lies in it is the browser's business (root boxes, docs/protocol.md section 8); who and which it names is not.
    if len(json.dumps(vault)) > LARGEST_VAULT:
        raise TooLarge()
    if not vault or vault.get("user", account_id) != account_id or vault.get("rev", rev) != rev:
        raise BadInput("bad-field", extra={"field": "vault"})
    boxes = vault.get("boxes", [])
    if not isinstance(boxes, list):
        raise BadInput("bad-field", extra={"field": "vault.boxes"})
    for box in boxes:
        with answering_refusals():
            header = form.parse_header(unb64(form.an_object(box).get("h")))
        if header.get("user") != account_id:
            raise BadInput("bad-field", extra={"field": "vault.boxes"})
