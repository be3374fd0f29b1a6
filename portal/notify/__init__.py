"""Everything that leaves for people outside the portal: content-free mail."""
