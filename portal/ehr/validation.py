"""Is this resource R4? Asked on every write and at the sandbox's door, one resource at a time (about 0.3 ms).

`fhir.resources` (R4B, the nearest to R4 it has) checks structure but takes any word for a required code
(`status: "bogus"` passes), so the codes we act on have allow-lists in `fhir/required-codes.json`. Its error text
quotes patient data and is never kept: only element names leave this module. It is loaded with the first resource,
since it would be an eighth of every start.
"""

from typing import Any

from portal.ehr.contract import required_codes
from portal.ehr.errors import InvalidResource
from portal.ehr.reading import MAX_DEPTH, Json, depth_within, is_type

MAX_PATHS = 20


def validate(resource: Json) -> None:
    """Raise InvalidResource unless `resource` is a well-formed R4 resource with known codes where R4 requires them."""
    resource_type = resource.get("resourceType")
    if not isinstance(resource_type, str) or not is_type(resource_type):
        raise InvalidResource("Resource", ("resourceType",))
    if not depth_within(resource, MAX_DEPTH):
        raise InvalidResource(resource_type, ("nesting",))
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        model: Any = get_fhir_model_class(resource_type)
    except (KeyError, LookupError, ImportError, ValueError) as error:
        raise InvalidResource("Resource", ("resourceType",)) from error
    try:
        model.model_validate(resource)
    except ValidationError as error:
        paths = sorted(
            {".".join(str(step) for step in problem["loc"]) for problem in error.errors(include_input=False)}
        )
        raise InvalidResource(resource_type, tuple(paths[:MAX_PATHS])) from None
    except RecursionError:
        raise InvalidResource(resource_type, ("nesting",)) from None
    wrong = [
        element
        for element, allowed in required_codes(resource_type).items()
        if element in resource and resource[element] not in allowed
    ]
    if wrong:
        raise InvalidResource(resource_type, tuple(wrong))
