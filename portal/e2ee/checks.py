"""Checks as named steps in ordered tuples, so that the order of docs/protocol.md can be read off the code and a test
can take one away and see a vector judged otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from portal.e2ee.reasons import Reason, Refused

Context = TypeVar("Context")


@dataclass(frozen=True, slots=True)
class Check(Generic[Context]):
    """One rule: if it does not hold of the context, the thing is refused with the reason."""

    name: str
    reason: Reason
    holds: Callable[[Context], bool]


def require(checks: Sequence[Check[Context]], context: Context, seq: int | None = None) -> None:
    """Ask the checks in their order. Raises Refused with the reason of the first that does not hold."""
    for check in checks:
        if not check.holds(context):
            raise Refused(check.reason, seq)
