"""One word for one thing: what docs/words.md says is not to be said stands in no text."""

import re
from pathlib import Path

import pytest

from portal.core import texts

PAGE = Path(__file__).parents[2] / "docs" / "words.md"
# “by mail” means the post as well there, on purpose.
BY_POST = {"keys.team.code.body"}


def shunned(column: int) -> list[str]:
    rows = [line.strip().strip("|").split("|") for line in PAGE.read_text("utf-8").splitlines() if line[:2] == "| "]
    return [word.strip() for row in rows[2:] for word in row[column].split(",") if word.strip()]


@pytest.mark.parametrize(("language", "column"), [("en", 3), ("es", 4)])
def test_no_text_uses_a_word_that_another_stands_for(language: str, column: int) -> None:
    words = shunned(column)
    assert len(words) >= 4
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    found = {
        key: hit.group()
        for key, text in texts.catalogue(language).items()
        if key not in BY_POST and (hit := pattern.search(text if isinstance(text, str) else " ".join(text.values())))
    }
    assert found == {}


def test_spanish_quotes_are_its_own() -> None:
    assert [key for key, text in texts.catalogue("es").items() if re.search("[“”]", str(text))] == []
