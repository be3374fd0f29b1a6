"""Where to go after a login: only ever a path of this portal."""

import re

HOME = "/"
LIMIT = 1000
# A path of the portal: one slash, then letters that no browser reads as another host, scheme or line.
_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9\-._~!$&'()*+,;=:@%/?\[\]]*")
# Going back to these would sign in for ever, or sign out at once.
_NOT_BACK_TO = ("/login", "/logout", "/logged-out", "/unlock", "/lock", "/step-up", "/api/", "/events")


def safe_next(wanted: str | None) -> str:
    """`wanted` when it is a path of this portal that a login may lead to, else the home page.

    Browsers drop tabs and line ends, read a backslash as a slash and resolve encoded ones later; nothing of that
    kind is let through, so that the answer can stand in a Location header as it is.
    """
    if not wanted or len(wanted) > LIMIT or _PATH.fullmatch(wanted) is None:
        return HOME
    path = wanted.split("?", 1)[0].lower()
    if "%2f" in path or "%5c" in path or "%0" in path or "%1" in path or "//" in path or "/.." in path + "/":
        return HOME
    if any(path == one or path.startswith(one if one.endswith("/") else one + "/") for one in _NOT_BACK_TO):
        return HOME
    return wanted
