"""The event stream."""

from portal.web.events import stream

blueprints = (stream.blueprint,)
