"""The audit record: who did what to whose data, append-only and sealed."""

from portal.audit.record import Agent, Entity, flush_refusals, record, record_each, record_refusal
from portal.audit.vocabulary import Action, Outcome, Purpose

__all__ = [
    "Action",
    "Agent",
    "Entity",
    "Outcome",
    "Purpose",
    "flush_refusals",
    "record",
    "record_each",
    "record_refusal",
]
