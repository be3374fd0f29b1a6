"""The control room's hands on the sandbox: slow, down, conflicting, or as it should be."""

import threading
from dataclasses import dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """How the sandbox behaves. `conflict` answers every update as if somebody else had been first."""

    NORMAL = "normal"
    SLOW = "slow"
    DOWN = "down"
    CONFLICT = "conflict"


@dataclass
class SandboxControl:
    """The present mode; `delay` in seconds counts in mode slow. Set it from any thread."""

    mode: Mode = Mode.NORMAL
    delay: float = 12.0
    # Ends the waiting of slow answers when the mode changes, so that "normal" is normal at once.
    changed: threading.Event = field(default_factory=threading.Event, repr=False)

    def set(self, mode: Mode, delay: float | None = None) -> None:
        """Switch to `mode`. Raises ValueError for a delay outside 0 to 60 seconds."""
        if delay is not None and not 0 <= delay <= 60:
            raise ValueError("delay must lie between 0 and 60 seconds")
        self.delay = self.delay if delay is None else delay
        self.mode = mode
        self.changed.set()
        self.changed = threading.Event()

    def wait(self) -> None:
        """Be slow, if that is the mode."""
        if self.mode is Mode.SLOW:
            self.changed.wait(self.delay)
