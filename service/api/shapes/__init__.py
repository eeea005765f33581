"""What the native routes take and give, as plain models: a table is never built from a request."""
