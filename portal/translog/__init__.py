"""Transparency logs: RFC 6962 Merkle trees, signed notes and checkpoints."""
