"""The commands: `recsys-teach compare`, `prepare` and `train`."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys_teach import __version__
from recsys_teach._util import escape_controls
from recsys_teach.cli import comparison
from recsys_teach.cli.comparison import SplitKind, ladder_table, scores_table, show


class PreparedSplit(str, Enum):
    """The ways to hold reviews back while files are read."""

    time = "time"
    random = "random"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

# How files are written, if it can't be found out: the same options for every command that reads files.
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="What a column means, such as customer=user_id; repeatable.")
]
Sep = Annotated[str | None, typer.Option(help="What separates fields, such as ';' or '\\t', if it can't be found out.")]
Encoding = Annotated[str, typer.Option(help="Of texts, such as latin-1 or cp1252.")]
Decimal = Annotated[str, typer.Option(help="The mark in numbers such as 4,5: '.' or ','.")]
DayFirst = Annotated[
    bool | None, typer.Option("--dayfirst/--monthfirst", help="Are dates written 31.12.2020, or 12/31/2020?")
]
Header = Annotated[
    str | None,
    typer.Option(help="The names of the columns, with commas, of a file that has none; 'no': call them 0, 1, …"),
]
Unrated = Annotated[
    list[str] | None, typer.Option(help="A rating that means 'bought, not rated', such as -1; repeatable.")
]


def _reading(
    columns: list[str] | None,
    sep: str | None,
    encoding: str,
    decimal: str,
    dayfirst: bool | None,
    header: str | None,
    unrated: list[str] | None,
) -> dict[str, Any]:
    """Return these options as `load_reviews` takes them."""
    return {
        "columns": _columns(columns or []),
        "sep": "\t" if sep == r"\t" else sep,
        "encoding": encoding,
        "decimal": decimal,
        "dayfirst": dayfirst,
        "header": {None: None, "no": False, "yes": True}.get(header, header and header.split(",")),
        "unrated": unrated or [],
    }


@contextmanager
def _one_sentence(*errors: type[Exception]) -> Iterator[None]:
    """Print errors of the input, or one of these, as a sentence without a traceback; print warnings as notes."""
    said: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, *errors)
    try:
        with warnings.catch_warnings(record=True) as hints:
            warnings.simplefilter("always", UserWarning)
            yield
        for hint in hints:
            if issubclass(hint.category, UserWarning):
                typer.echo(f"note: {escape_controls(hint.message)}", err=True)
    except said as error:
        typer.echo(f"error: {escape_controls(error)}", err=True)  # it may quote text of a file
        raise typer.Exit(2) from error


def _columns(pairs: list[str]) -> dict[str, str] | None:
    """Return `["customer=user_id"]` as `{"customer": "user_id"}`, None for none."""
    for pair in pairs:
        if not all(pair.partition("=")):
            raise ValueError(f"--column is {pair!r}: expected the file's name, =, and ours, such as customer=user_id.")
    return dict(pair.rsplit("=", 1) for pair in pairs) or None


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
        str,
        typer.Argument(
            help='"generated", "generated-habit", "amazon", "movielens", or a CSV, TSV, JSON or Parquet file.'
        ),
    ] = "generated",
    split: Annotated[
        SplitKind | None,
        typer.Option(
            help="Hold back the latest fifth, a random fifth, or the last review of each user. Default: time where the "
            "reviews have timestamps, else random."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the generated shop, the random split and the models' weights.")
    ] = 0,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen/--include-seen", help="Is what a user bought in training a candidate?")
    ] = True,
    column: Columns = None,
    sep: Sep = None,
    encoding: Encoding = "utf-8",
    decimal: Decimal = ".",
    dayfirst: DayFirst = None,
    header: Header = None,
    unrated: Unrated = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Train the whole ladder on SOURCE, and print every model's scores on the reviews held back."""
    with _one_sentence():
        how = _reading(column, sep, encoding, decimal, dayfirst, header, unrated)
        result = comparison.compare(source, split=split, seed=seed, exclude_seen=exclude_seen, **how)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        show(ladder_table(result))


@app.command()
def prepare(
    sources: Annotated[list[Path], typer.Argument(help="JSON, CSV or TSV files (.gz too), or Parquet.")],
    out: Annotated[Path, typer.Argument(help="The folder to make; unfinished work is beside it, in OUT.partial.")],
    split: Annotated[
        PreparedSplit | None, typer.Option(help="Default: time where the reviews have timestamps, else random.")
    ] = None,
    shards: Annotated[int, typer.Option(help="This number of processes, or a divisor of it, can train.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the random split and of the order of the rows.")] = 0,
    memory: Annotated[str, typer.Option(help="DuckDB's limit; the process needs about 400 MB more.")] = "250MB",
    threads: Annotated[int, typer.Option(help="Of DuckDB.")] = 2,
    column: Columns = None,
    sep: Sep = None,
    encoding: Encoding = "utf-8",
    decimal: Decimal = ".",
    dayfirst: DayFirst = None,
    header: Header = None,
    unrated: Unrated = None,
) -> None:
    """Turn SOURCES, files of reviews larger than memory, into the folder OUT that `train` reads."""
    with _one_sentence():
        from recsys_teach.scale.preparation import prepare as make

        how = _reading(column, sep, encoding, decimal, dayfirst, header, unrated)
        kind = split.value if split else None
        made = make(sources, out, split=kind, shards=shards, seed=seed, memory_limit=memory, threads=threads, **how)
    rows = ", ".join(f"{number:,} for {part}" for part, number in made["rows"].items())
    typer.echo(f"{out}: {rows}; {made['users']:,} users, {made['products']:,} products; split by {made['split']}")


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="What `prepare` made.")],
    epochs: Annotated[int, typer.Option(help="Rounds through the training rows.")] = 3,
    batch_size: Annotated[int, typer.Option(help="Of all processes together, a multiple of the shards.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and of the order of the batches.")] = 0,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Where to keep each epoch, shared by all processes. Default: FOLDER-checkpoints."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Where to put the trained model for servers; holds all purchases in memory.")
    ] = None,
) -> None:
    """Train the multitask model on FOLDER, score it, and export it; with TF_CONFIG set, together with other processes.

    If it was stopped, it goes on after the last finished epoch when it is started again; after the very last one, it
    scores and exports without training again.
    """
    from recsys_teach.scale.batches import read_train
    from recsys_teach.scale.cluster import is_chief
    from recsys_teach.scale.distributed import (
        evaluate_prepared,
        forget_optimizer,
        give_memory_back,
        remove_checkpoints,
        train_prepared,
    )
    from recsys_teach.serving.saved_model import export as write
    from recsys_teach.serving.saved_model import workplace
    from recsys_teach.serving.server import Server

    with _one_sentence(RuntimeError):
        if export:
            workplace(export).rmdir()  # better to know now than after the training that it can't be written
        give_memory_back(batch_size)
        settings = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
        model, losses = train_prepared(folder, **settings, checkpoints=checkpoints, keep_checkpoints=True)
        if not is_chief(model.distribute_strategy):
            return
        forget_optimizer(model)
        if not losses.empty:  # as they are where an earlier run trained
            show(scores_table(losses))
        board = evaluate_prepared(folder, model)
        show(scores_table(board))
        if export:
            version = write(Server(model, read_train(folder, categorical=True)), export, scores=board.T["multitask"])
            typer.echo(f"exported to {version}")
        remove_checkpoints(folder, checkpoints)  # not before: a kill in the export must not cost the training


if __name__ == "__main__":
    app()
