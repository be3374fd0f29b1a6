"""A small but strict OpenID provider for the demo and the tests, on Authlib's authorization server.

It plays the part of the real provider so that login, step-up, locking and logout are the real thing on a laptop.
Under PORTAL_ENV=production it refuses to be made.
"""

from portal.demo.idp.app import create_idp, rotate_keys, withdraw_key
from portal.demo.idp.people import DemoAccount

__all__ = ["DemoAccount", "create_idp", "rotate_keys", "withdraw_key"]
