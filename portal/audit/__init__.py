"""The audit record: who did what to whose data, append-only and sealed."""
