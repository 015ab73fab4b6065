"""Layer 8: the commands. `recsys-teach compare` for any reviews; `prepare` and `train` for more than memory holds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recsys_teach import __version__
from recsys_teach import compare as comparison
from recsys_teach.compare import SplitKind, ladder_table, scores_table
from recsys_teach.verbatim import printable

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@contextmanager
def _one_sentence(*errors: type[Exception]) -> Iterator[None]:
    """What is wrong is said in a sentence, without a traceback: with the input, or one of these errors."""
    said: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, *errors)
    try:
        yield
    except said as error:
        typer.echo(f"error: {printable(error)}", err=True)  # it may quote what stands in a file
        raise typer.Exit(2) from error


def _columns(pairs: list[str]) -> dict[str, str] | None:
    """`["customer=user_id"]` as `{"customer": "user_id"}`, None for none."""
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
        str, typer.Argument(help='"generated", "amazon", or a CSV, TSV, JSON Lines or Parquet file.')
    ] = "generated",
    split: Annotated[
        SplitKind | None, typer.Option(help="Default: time where the reviews have timestamps, else random.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the generated shop, the random split and the models' weights.")] = 0,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen/--include-seen", help="Is what a user bought in training a candidate?")
    ] = True,
    column: Annotated[
        list[str] | None, typer.Option(help="What a column of the file means, such as customer=user_id; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Train the whole ladder on SOURCE, and print every model's scores on the reviews held back."""
    with _one_sentence():
        columns = _columns(column or [])
        result = comparison.compare(source, split=split, seed=seed, exclude_seen=exclude_seen, columns=columns)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        Console().print(ladder_table(result))


@app.command()
def prepare(
    sources: Annotated[list[Path], typer.Argument(help="JSON Lines, CSV or TSV files (.gz too), or Parquet.")],
    out: Annotated[Path, typer.Argument(help="The folder to make; what is unfinished lies beside it, in OUT.partial.")],
    split: Annotated[
        SplitKind | None, typer.Option(help="Default: time where the reviews have timestamps, else random.")
    ] = None,
    lanes: Annotated[int, typer.Option(help="As many, or a divisor of it, are the processes that can train.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the random split and of the order of the rows.")] = 0,
    memory: Annotated[str, typer.Option(help="What DuckDB may take; the process takes about 270 MB more.")] = "250MB",
    threads: Annotated[int, typer.Option(help="Of DuckDB.")] = 2,
) -> None:
    """Turn SOURCES, files of reviews larger than memory, into the folder OUT that `train` reads."""
    with _one_sentence():
        try:
            from recsys_teach.prepare import prepare as make
        except ModuleNotFoundError as error:
            raise ImportError(f"{error}: pip install 'recsys-teach[scale]'") from error
        kind = split.value if split else None
        made = make(sources, out, split=kind, lanes=lanes, seed=seed, memory_limit=memory, threads=threads)
    rows = ", ".join(f"{number:,} for {part}" for part, number in made["rows"].items())
    typer.echo(f"{out}: {rows}; {made['users']:,} users, {made['products']:,} products; split by {made['split']}")


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="What `prepare` made.")],
    epochs: Annotated[int, typer.Option(help="Rounds through the training rows.")] = 3,
    batch_size: Annotated[int, typer.Option(help="Of all processes together, a multiple of the lanes.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the first weights and of the order of the batches.")] = 0,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Where to keep each epoch, shared by all processes. Default: FOLDER-checkpoints."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Where to put the trained model for servers; holds all purchases in memory.")
    ] = None,
) -> None:
    """Train the multitask model on FOLDER, judge it, and export it; with TF_CONFIG set, together with other processes.

    Stopped, it goes on after the last epoch that was finished, when it is started again.
    """
    from recsys_teach.cluster import is_chief
    from recsys_teach.distributed import train_prepared
    from recsys_teach.export import export as write
    from recsys_teach.export import workplace
    from recsys_teach.judge import judge
    from recsys_teach.serving import Server
    from recsys_teach.stream import read_train

    with _one_sentence(RuntimeError):
        if export:
            workplace(export).rmdir()  # better to know now than after the training that it can't be written
        model, losses = train_prepared(folder, epochs=epochs, batch_size=batch_size, seed=seed, checkpoints=checkpoints)
        if not is_chief(model.distribute_strategy):
            return
        board = judge(folder, model)
        Console().print(scores_table(losses), scores_table(board))
        if export:
            version = write(Server(model, read_train(folder)), export, scores=board.T["multitask"])
            typer.echo(f"exported to {version}")


if __name__ == "__main__":
    app()
