"""Encrypted threads: posting, inboxes, receipts, attachments."""
