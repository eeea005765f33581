"""Which licences allow what: the table, and the check of teachers, prompts and base together."""
