"""The event stream."""

from flask import Blueprint

blueprints: tuple[Blueprint, ...] = ()
