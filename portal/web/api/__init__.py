"""JSON routes, one module a subject."""

from flask import Blueprint

from portal.web.api import context, directory, keys, objects, patients, pharmacies, teams

blueprints: tuple[Blueprint, ...] = (
    keys.blueprint,
    directory.blueprint,
    teams.blueprint,
    objects.blueprint,
    pharmacies.blueprint,
    patients.blueprint,
    context.blueprint,
)
