"""A Python member of a thread: library and command line that seal and open."""
