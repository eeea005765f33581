"""Asking teachers: one protocol, its backends, a server for real models and one that misbehaves to order."""

from workers.teachers.openai_http import OpenAITeacher

TEACHERS: dict[str, type[OpenAITeacher]] = {"openai": OpenAITeacher}
"""Backends by the `backend` of a registered teacher."""
