"""A teacher that answers at once and misbehaves to order: `python -m workers.teachers.fake`, a real HTTP server."""
