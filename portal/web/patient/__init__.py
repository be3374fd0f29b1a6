"""Pages of a patient, readable without JavaScript."""

from flask import Blueprint

from portal.web.patient import account, carers, home, invitation, match, pharmacies, record

blueprints: tuple[Blueprint, ...] = (
    home.blueprint,
    record.blueprint,
    account.blueprint,
    invitation.blueprint,
    match.blueprint,
    pharmacies.blueprint,
    carers.blueprint,
)
