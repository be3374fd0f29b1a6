"""Accounts, patients, relations between them, policy, and the keys of persons."""
