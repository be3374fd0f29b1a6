"""Where the files beside the code lie: in the repository while developing, inside the package once installed."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "_resources"


def directory(name: str) -> Path:
    """The folder `templates`, `migrations`, `fhir` or `static`, wherever this installation keeps it.

    Raises FileNotFoundError when the installation lacks it, with the command that makes it.
    """
    for candidate in (_INSTALLED / name, _PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"{name}/ is missing from this installation; install the package again (pip install .)")
