"""Measurements and proofs that take longer than a test: each file is a command."""
