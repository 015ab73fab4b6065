"""The commands: `recsys-teach compare` for any reviews, `prepare` and `train` for more than memory holds."""

from recsys_teach.cli.commands import app

__all__ = ["app"]
