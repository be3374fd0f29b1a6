"""Pages of a patient, readable without JavaScript."""

from flask import Blueprint

from portal.web.patient import account, carers, home, invitation, pharmacies, record

blueprints: tuple[Blueprint, ...] = (
    home.blueprint,
    record.blueprint,
    account.blueprint,
    invitation.blueprint,
    pharmacies.blueprint,
    carers.blueprint,
)
