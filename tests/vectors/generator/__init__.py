"""Makes tests/vectors/rxe2ee/*.json: python -m tests.vectors.generator

Every run gives the same bytes. `FILES` names each file's cases; tests/vectors/README.md says what lies in them.
"""

import json
from collections.abc import Callable, Mapping

from .attachments import attachment_cases
from .building import Case
from .chains import directory_cases, prevseed_cases
from .devices import certificate_cases, revocation_cases, session_cases
from .guards import guard_cases
from .objects import inbound_cases, object_cases, root_cases
from .primitives import hpke_cases, hybrid_cases
from .randomness import RANDOMNESS, fixed
from .receipts import receipt_cases, report_cases
from .recovery import code_cases, recovery_cases
from .safety import safety_cases
from .sheets import sheet_cases
from .teams import team_cases
from .threads import thread_cases

FILES: Mapping[str, Callable[[], tuple[Case, list[Case]]]] = {
    "attachments": attachment_cases,
    "certificates": certificate_cases,
    "codes": code_cases,
    "directory": directory_cases,
    "guards": guard_cases,
    "hpke": hpke_cases,
    "hybrid": hybrid_cases,
    "inbound": inbound_cases,
    "objects": object_cases,
    "prevseeds": prevseed_cases,
    "receipts": receipt_cases,
    "recovery": recovery_cases,
    "reports": report_cases,
    "revocations": revocation_cases,
    "roots": root_cases,
    "safety": safety_cases,
    "sessions": session_cases,
    "sheets": sheet_cases,
    "teams": team_cases,
    "threads": thread_cases,
}


def make(kind: str) -> str:
    """The text of one file."""
    RANDOMNESS.begin(kind)
    with fixed(RANDOMNESS):
        common, cases = FILES[kind]()
    return json.dumps({"common": common, "cases": cases}, indent=1) + "\n"
