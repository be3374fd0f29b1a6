"""The pages of a search: which of their entries count, and whether the way to the next page may be gone."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from portal.ehr.errors import EhrProtocolError, ProtocolFault
from portal.ehr.reading import Json, items, obj, text
from portal.ehr.smart import origin

MAX_PAGES = 10
MAX_ENTRIES = 2000


@dataclass(frozen=True)
class SearchResult:
    """The entries of a search, all pages together. `truncated`: there was more than the bounds allow, or than the
    EHR would let us follow."""

    matches: tuple[Json, ...]
    included: tuple[Json, ...]
    truncated: bool = False


def all_pages(
    first: Json, resource_type: str, *, base_url: str, fetch: Callable[[str], Json], most: int = MAX_PAGES
) -> SearchResult:
    """The entries of the page `first` and of at most `most` pages in all; the others are asked for by `fetch`.

    Raises EhrProtocolError for a page that is no Bundle, and what `fetch` raises.
    """
    matches: list[Json] = []
    included: list[Json] = []
    seen: set[str] = set()
    bundle = first
    for page in range(1, most + 1):
        if bundle.get("resourceType") != "Bundle":
            raise EhrProtocolError(ProtocolFault.WRONG_RESOURCE)
        for entry in items(bundle, "entry"):
            resource, mode = obj(entry, "resource"), text(obj(entry, "search"), "mode")
            if mode == "outcome" or resource.get("resourceType") in (None, "OperationOutcome"):
                continue
            as_include = mode == "include" or (not mode and resource["resourceType"] != resource_type)
            (included if as_include else matches).append(resource)
        link = next((text(link, "url", 4000) for link in items(bundle, "link") if link.get("relation") == "next"), "")
        if not link:
            return SearchResult(tuple(matches), tuple(included))
        following = inside(base_url, link)
        if not following or following in seen or page == most or len(matches) + len(included) >= MAX_ENTRIES:
            break
        seen.add(following)
        bundle = fetch(following)
    return SearchResult(tuple(matches[:MAX_ENTRIES]), tuple(included[:MAX_ENTRIES]), truncated=True)


def inside(base_url: str, link: str) -> str:
    """`link` as an address below the base URL, or "": a hostile EHR must not choose where we go next."""
    try:
        url = urljoin(base_url + "/", link)
        path = urlsplit(url).path
    except ValueError:
        return ""
    base_path = urlsplit(base_url).path
    lowered = path.lower()
    if ".." in path or "%2e" in lowered or "%2f" in lowered or "\\" in path:
        return ""
    same_place = path in (base_path, base_path + "/") or path.startswith(base_path + "/")
    return url if origin(url) == origin(base_url) and same_place else ""
