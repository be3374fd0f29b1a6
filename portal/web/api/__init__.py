"""JSON routes, one module a subject."""

from flask import Blueprint

from portal.web.api import (
    attachments,
    context,
    directory,
    guards,
    identity_checks,
    keys,
    objects,
    patients,
    pharmacies,
    prints,
    recovery_key,
    teams,
    threads,
)

blueprints: tuple[Blueprint, ...] = (
    keys.blueprint,
    guards.blueprint,
    directory.blueprint,
    identity_checks.blueprint,
    teams.blueprint,
    recovery_key.blueprint,
    objects.blueprint,
    pharmacies.blueprint,
    patients.blueprint,
    context.blueprint,
    threads.blueprint,
    attachments.blueprint,
    prints.blueprint,
)
