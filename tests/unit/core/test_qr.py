"""QR codes as paths: the same modules that the library draws, inside a white margin."""

import re

import pytest
import segno

from portal.core import qr

LINK = "https://portal.example/join#ABCD-EFGH-JKMN-PQRS"


@pytest.mark.parametrize("text", ["x", LINK, "Farmacia Ñandú " * 20])
def test_a_path_covers_the_dark_modules_inside_a_white_margin(text: str) -> None:
    drawn, width = qr.path(text)
    dark = set()
    for x, y, length, back in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", drawn):
        assert length == back
        dark |= {(int(x) + step, int(y)) for step in range(int(length))}
    whole = segno.make_qr(text, error="m", boost_error=False)
    rows = list(whole.matrix_iter(border=qr.QUIET))
    assert width == len(rows)
    assert dark == {(x, y) for y, row in enumerate(rows) for x, one in enumerate(row) if one}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError):
        qr.path("x" * 2332)
