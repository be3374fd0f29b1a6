"""The text catalogue: every sentence for people, in every language, for templates, errors and the browser alike.

`texts/<language>/<area>.json` maps keys to a sentence with {named} places, or to plural forms
{"one": …, "other": …} chosen by the variable `count` (CLDR plural rules, by Babel).
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale

LANGUAGES = ("en", "es")
DEFAULT_LANGUAGE = "en"
PSEUDO_LANGUAGE = "qps"
_FOLDER = Path(__file__).parent / "texts"
_PLACE = re.compile(r"\{([a-z_]+)\}")

Sentence = str | dict[str, str]


@cache
def catalogue(language: str) -> Mapping[str, Sentence]:
    """All sentences of `language`, keys to sentence or plural forms. The pseudo language marks each sentence."""
    if language == PSEUDO_LANGUAGE:
        return {key: _pseudo(value) for key, value in catalogue(DEFAULT_LANGUAGE).items()}
    merged: dict[str, Sentence] = {}
    for path in sorted((_FOLDER / language).glob("*.json")):
        area = json.loads(path.read_text("utf-8"))
        twice = merged.keys() & area.keys()
        if twice:
            raise ValueError(f"{path.name} says again what another area already says: {sorted(twice)}")
        merged.update(area)
    return merged


def get(key: str, language: str = DEFAULT_LANGUAGE, /, **values: Any) -> str:
    """The sentence `key` in `language` with its {named} places filled. Raises KeyError for an unknown key."""
    sentence = catalogue(language if language in (*LANGUAGES, PSEUDO_LANGUAGE) else DEFAULT_LANGUAGE)[key]
    if isinstance(sentence, dict):
        form = _locale("en" if language == PSEUDO_LANGUAGE else language).plural_form(values["count"])
        sentence = sentence.get(form, sentence["other"])
    return _PLACE.sub(lambda place: str(values[place[1]]), sentence)


def places(sentence: Sentence) -> frozenset[str]:
    """The {named} places of a sentence, over all its plural forms."""
    forms = sentence.values() if isinstance(sentence, dict) else (sentence,)
    return frozenset(name for form in forms for name in _PLACE.findall(form))


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


def _pseudo(sentence: Sentence) -> Sentence:
    if isinstance(sentence, dict):
        return {form: f"⟦{text}⟧" for form, text in sentence.items()}
    return f"⟦{sentence}⟧"
