"""Floor 8: the commands. `recsys-teach compare` for any reviews; `prepare` and `train` for more than memory holds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from recsys_teach import __version__
from recsys_teach import compare as comparison
from recsys_teach.compare import SplitKind, ladder_table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@contextmanager
def _one_sentence(*errors: type[Exception]) -> Iterator[None]:
    """What is wrong is said in a sentence, without a traceback: with the input, or one of these errors."""
    said: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, *errors)
    try:
        yield
    except said as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def _version(show: bool) -> None:
    if show:
        typer.echo(f"recsys-teach {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, help="Print the version.")] = False,
) -> None:
    """Recommender systems with honest numbers: every table has a floor, the models, and a ceiling."""


@app.command()
def compare(
    source: Annotated[
        str, typer.Argument(help='"generated", "amazon", or a CSV, TSV, JSON Lines or Parquet file.')
    ] = "generated",
    split: Annotated[
        SplitKind | None, typer.Option(help="Default: time where the reviews have timestamps, else random.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the generated shop, the random split and the models' weights.")] = 0,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen/--include-seen", help="Is what a user bought in training a candidate?")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Train the whole ladder on SOURCE, and print every model's scores on the reviews held back."""
    with _one_sentence():
        result = comparison.compare(source, split=split, seed=seed, exclude_seen=exclude_seen)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        Console().print(ladder_table(result))


if __name__ == "__main__":
    app()
