"""Imported by the fork server: what lies deeper than a module's own import."""

from trl import SFTConfig, SFTTrainer  # noqa: F401  # pyright: ignore[reportPrivateImportUsage]
