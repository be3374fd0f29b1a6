"""Pages for everyone, signed in or not, and what stands around every page."""

from flask import Blueprint

from portal.web.public import frame, objection, stop_notices, views

views.blueprint.record_once(lambda setup: frame.prepare(setup.app))

blueprints: tuple[Blueprint, ...] = (views.blueprint, objection.blueprint, stop_notices.blueprint)
# Mail programs send it without a page of ours; its own token is what proves it.
CSRF_EXEMPT = ("stop_notices.stop",)
