"""JSON routes, one module a subject."""

from flask import Blueprint

blueprints: tuple[Blueprint, ...] = ()
