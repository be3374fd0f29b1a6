"""Pages for everyone, signed in or not."""

from flask import Blueprint

blueprints: tuple[Blueprint, ...] = ()
