"""Pages of a patient."""

from flask import Blueprint

blueprints: tuple[Blueprint, ...] = ()
