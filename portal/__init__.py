"""Secure pharmacy messaging portal: end-to-end-encrypted threads with live medication and order context."""
