"""Pages of those who work at a pharmacy or run the server, readable without JavaScript."""

from flask import Blueprint

from portal.web.clinic import (
    consents,
    invitations,
    operator,
    people,
    pharmacy,
    privacy_office,
    recovery,
    requests,
    stopped,
)

blueprints: tuple[Blueprint, ...] = (
    privacy_office.blueprint,
    operator.blueprint,
    pharmacy.blueprint,
    people.blueprint,
    stopped.blueprint,
    invitations.blueprint,
    consents.blueprint,
    recovery.blueprint,
    requests.blueprint,
)
