"""Lives of things as tables: each state, what can happen in it, and what comes of it.

A table is a tuple of `Step`; the drawing in docs/architecture.md is made from it, and a test compares the two.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


@dataclass(frozen=True)
class Step(Generic[State, Event]):
    """In state `before` (None: not there yet) `event` leads to `after`."""

    before: State | None
    event: Event
    after: State


class Life(Generic[State, Event]):
    """The table of one kind of thing."""

    def __init__(self, name: str, steps: Iterable[Step[State, Event]]) -> None:
        self.name = name
        self.steps = tuple(steps)
        self._after = {(step.before, step.event): step.after for step in self.steps}
        if len(self._after) != len(self.steps):
            raise ValueError(f"{name}: one event leads to two states")

    def after(self, before: State | None, event: Event) -> State | None:
        """What comes of `event` in state `before`; None when that cannot happen there."""
        return self._after.get((before, event))

    def drawing(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        for step in self.steps:
            lines.append(f"    {step.before or '[*]'} --> {step.after}: {step.event}")
        return "\n".join(lines)
