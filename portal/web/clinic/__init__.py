"""Pages of those who work at a pharmacy or run the server, readable without JavaScript."""

from flask import Blueprint

from portal.web.clinic import office, operator, pharmacy

blueprints: tuple[Blueprint, ...] = (office.blueprint, operator.blueprint, pharmacy.blueprint)
