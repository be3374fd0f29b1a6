"""An embedded FHIR R4 server for the demo and the tests: Flask, one SQLite file, no sign-in, loopback only.

It keeps what the portal needs of an EHR (fhir/capability-statement.sandbox.json) and is held to the same contract
tests as HAPI and sekmet-fhir. It is refused under PORTAL_ENV=production by whoever starts it.
"""

from portal.demo.sandbox.control import Mode, SandboxControl
from portal.demo.sandbox.views import create_sandbox

__all__ = ["Mode", "SandboxControl", "create_sandbox"]
