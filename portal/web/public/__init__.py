"""Pages for everyone, signed in or not, and what stands around every page."""

from flask import Blueprint

from portal.web.public import frame, objection, views

views.blueprint.record_once(lambda setup: frame.prepare(setup.app))

blueprints: tuple[Blueprint, ...] = (views.blueprint, objection.blueprint)
