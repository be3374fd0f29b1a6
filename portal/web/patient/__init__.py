"""Pages of a patient, readable without JavaScript."""

from flask import Blueprint

from portal.web.patient import account, home, invitation, record

blueprints: tuple[Blueprint, ...] = (
    home.blueprint,
    record.blueprint,
    account.blueprint,
    invitation.blueprint,
)
