"""A pharmacy's poster, made from the database by the other implementation of docs/protocol.md section 9."""

import json
import re
from dataclasses import dataclass
from unittest.mock import patch

import segno
from segno import encoder
from stage import Stage

from portal.e2ee.encoding import b64, sha256, unb64
from portal.e2ee.safety import SafetyNumber, safety_number

TEAM = "riverside_pharmacists"


@dataclass(frozen=True)
class Paper:
    """A poster: where its picture leads, and its digits."""

    address: str
    digits: str


def poster(stage: Stage, team: str = TEAM, *, number: SafetyNumber | None = None, later: int = 0) -> Paper:
    """The poster of a team as printed now; a false one has another `number`, or is of `later` generations."""
    rows = stage.read("SELECT record FROM team_record WHERE team_id = ? ORDER BY gen", team)
    headers = [unb64(json.loads(row[0])["h"]) for row in rows]
    shown = number or safety_number(headers[0])
    place = f"{team}.{len(headers) + later}.{b64(shown.bytes)}.{b64(sha256(headers[-1]))}"
    return Paper(f"/compare#c={place}", shown.digits)


def false_poster(stage: Stage) -> Paper:
    """A poster of the same team with other keys."""
    return poster(stage, number=safety_number(b"somebody else's first record"))


def holds(drawn: str, text: str) -> bool:
    """Whether the path of a QR code, as a browser drew it, holds this text and nothing else."""
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawn)}
    # segno puts a whole byte of zeros where none is missing to the next one (ISO/IEC 18004, 7.4.10, asks for none).
    with patch.object(encoder, "write_padding_bits", lambda bits, _, length: bits.extend([0] * (-length % 8))):
        # Which of the eight masks suits a text best, two libraries need not find alike.
        codes = [segno.make_qr(text, error="m", boost_error=False, mask=mask).matrix for mask in range(8)]
    return dark in [{(x, y) for y, row in enumerate(rows) for x, one in enumerate(row) if one} for rows in codes]
