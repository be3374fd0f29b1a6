"""QR codes (ISO/IEC 18004) for what people carry away on paper, as one SVG path: no script and no picture file."""

from collections.abc import Iterator

# The white margin that readers need around the code, in modules.
QUIET = 4


def path(text: str) -> tuple[str, int]:
    """The dark modules as the `d` of an SVG path, and the width of its square view box with the margin, in modules.

    Error correction M: up to 15 % of the picture may be lost, which a card in a purse needs. Raises ValueError for more
    than one code holds (2,331 bytes).
    """
    # Loaded when a card is first made: no start waits for it.
    import segno

    rows = segno.make_qr(text, error="m", boost_error=False).matrix
    drawn = [
        f"M{x + QUIET} {y + QUIET}h{length}v1h-{length}z" for y, row in enumerate(rows) for x, length in _runs_of(row)
    ]
    return "".join(drawn), len(rows) + 2 * QUIET


def _runs_of(row: bytearray) -> Iterator[tuple[int, int]]:
    """Where the dark modules of a row begin, and how many stand side by side."""
    start = None
    for x, dark in enumerate([*row, 0]):
        if dark and start is None:
            start = x
        elif not dark and start is not None:
            yield start, x - start
            start = None
