"""`python -m recsys_teach` is the command `recsys-teach`."""

from recsys_teach.cli import app

app(prog_name="recsys-teach")
