"""The interface layer: pages, JSON routes and the event stream."""
