"""Signing in and out, unlocking, step-up, and a person's own sessions."""

from portal.web.auth import login, logout, sessions

blueprints = (login.blueprint, logout.blueprint, sessions.blueprint, sessions.api)

# The provider calls it from server to server: it proves itself by a signed token, there is no cookie to abuse.
CSRF_EXEMPT = ("logout.backchannel",)
