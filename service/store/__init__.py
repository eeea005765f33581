"""The only files that hold SQL: one a subject, each a handful of functions that take a session."""
