"""A browser's name for the list of sessions: "Firefox · Windows". Names only, nothing to identify a person by."""

_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def describe(user_agent: str | None) -> str | None:
    """What the browser calls itself, in two words; None when it does not say."""
    said = user_agent or ""
    found = [next((name for mark, name in known if mark in said), None) for known in (_BROWSERS, _SYSTEMS)]
    return " · ".join(name for name in found if name) or None
