"""Pages of the pharmacy staff."""

from flask import Blueprint

blueprints: tuple[Blueprint, ...] = ()
