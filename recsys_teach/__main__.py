"""`python -m recsys_teach` runs the command `recsys-teach`."""

from recsys_teach.cli import app

if __name__ == "__main__":
    app(prog_name="recsys-teach")
