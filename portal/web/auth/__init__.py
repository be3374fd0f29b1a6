"""Signing in and out, unlocking, step-up, a person's own sessions, and the stop for when something is wrong."""

from portal.web.auth import browser, login, logout, sessions, wrong

blueprints = (browser.blueprint, login.blueprint, logout.blueprint, sessions.blueprint, sessions.api, wrong.blueprint)

# The provider calls it from server to server: it proves itself by a signed token, there is no cookie to abuse.
CSRF_EXEMPT = ("logout.backchannel",)
