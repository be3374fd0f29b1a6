"""Everything that leaves for people outside the portal: content-free mail."""

from portal.notify.notices import has_read, message_waits

__all__ = ["has_read", "message_waits"]
