"""Signing in and out, unlocking, step-up, a person's own sessions, and the stop for when something is wrong."""

from portal.web.auth import login, logout, sessions, wrong

blueprints = (login.blueprint, logout.blueprint, sessions.blueprint, sessions.api, wrong.blueprint)

# The provider calls it from server to server: it proves itself by a signed token, there is no cookie to abuse.
CSRF_EXEMPT = ("logout.backchannel",)
