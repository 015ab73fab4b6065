"""Diagrams drawn from the course's real objects: the two towers, a batch, the products' vectors.

Like the charts, each returns its axes and one line of words that say the same. A diagram reads the sizes from the
objects themselves, so it can't show another model than the real one. It needs no TensorFlow.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text

from recsys_teach.plots import style
from recsys_teach.plots.style import BLUE, GREEN, GREY, ORANGE, WIDTH, Picture, styled
from recsys_teach.schema import CATEGORIES, CATEGORY, HISTORY

LINE, GAP = 0.22, 0.5  # inches: a line of text; from the text in a box to the text in the next


@styled
def two_towers(user_tower: Any, product_tower: Any) -> Picture:
    """Draw the two towers, from the columns they read (below) to the score (above), with their real sizes.

    A table of embeddings is rows × length of a vector. It has a row for each id and row 0 for all unknown ids; a table
    of words also has a row for unknown words and one that pads short texts and is left out of the mean. So is row 0 of
    a table of products or categories.

    Args:
        user_tower, product_tower: towers as in `towers`.

    Raises:
        ValueError: the towers' vectors are of different lengths, so they have no dot product; or a tower reads more
            than one column besides the id, for which there is no room.
    """
    towers = {"user tower": user_tower, "product tower": product_tower}
    for name, tower in towers.items():
        if len(tower.parts) > 1:
            raise ValueError(
                f"the {name} reads {', '.join(tower.columns)}: a diagram has room for the id and one more column; "
                "draw a tower with one of them."
            )
    user, product = (tower.dense[-1].units if tower.dense else tower.embedding.output_dim for tower in towers.values())
    if user != product:
        raise ValueError(
            f"the user tower's vectors have {user} numbers and the product tower's {product}: a dot product needs as "
            "many in both; give both towers the same dim, or the user tower a last layer of that size."
        )
    stories = [_levels(tower) for tower in towers.values()]
    levels = [[text for texts in level for text in texts] for level in zip_longest(*stories, fillvalue=[])]
    heights = LINE * np.array([max(text.count("\n") + 1 for text in texts) for texts in [*levels, ["score"]]])
    middles = 0.5 + np.cumsum(heights + GAP) - heights / 2 - GAP
    top = middles[-1] + GAP / 2
    ax = style.axes("", "", height=top)
    ax.set_axis_off()
    ax.set(xlim=(0, WIDTH), ylim=(0, top))  # so the unit is an inch
    score = style.box(ax, WIDTH / 2, middles[-1], f"dot product of two vectors of {user} numbers → one score", ORANGE)
    for name, story, middle in zip(towers, stories, (WIDTH / 4, 3 * WIDTH / 4)):
        ax.text(middle, 0.1, name, ha="center", va="center", weight="bold")
        below: list[Text] = []
        for texts, y in zip(story, middles):
            places = [middle] if len(texts) == 1 else [middle - WIDTH / 8, middle + WIDTH / 8]
            boxes = [style.box(ax, x, y, text, BLUE if below else GREEN) for x, text in zip(places, texts)]
            for number, start in enumerate(below):
                style.arrow(ax, start, boxes[number % len(boxes)])
            below = boxes
        style.arrow(ax, below[0], score)
    return ax, "; ".join(map(_in_words, towers.values())) + "; dot product → one score."


def _table(layer: Any) -> str:
    return f"{layer.input_dim:,} × {layer.output_dim}"


def _kind(column: str) -> str:
    """Return what a tower looks up in a column."""
    return {HISTORY: "products", CATEGORY: "categories", CATEGORIES: "categories"}.get(column, "words")


def _levels(tower: Any) -> list[list[str]]:
    """Return the texts in a tower's boxes, level by level from below: of the id, and of what else it reads."""
    ids = f"lookup:\n{tower.embedding.input_dim - 1:,} ids,\n0 for unknown"
    levels = [[tower.columns[0]], [ids], [f"embeddings\n{_table(tower.embedding)}"]]
    for column, part in tower.parts.items():
        kind, table = _kind(column), getattr(part, "embedding", None)
        if table is None:
            beside = [column, "in standard\ndeviations", "times one vector"]
        elif kind == "words":
            beside = [column, f"lookup:\n{table.input_dim - 2:,} words,\n1 for unknown"]
        else:
            beside = [column, f"lookup:\n{table.input_dim - 1:,} {kind},\n0 for none"]
        beside += [f"embeddings\n{_table(table)},\nmean of {kind}"] if table is not None else []
        levels = [[*level, text] for level, text in zip(levels, beside)]
        levels.append([f"side by side: {2 * tower.embedding.output_dim} numbers" if tower.dense else "+"])
    return levels + [[f"dense, {layer.activation.__name__}: {layer.units} numbers"] for layer in tower.dense]


def _in_words(tower: Any) -> str:
    words = f"{tower.columns[0]} → {_table(tower.embedding)} table"
    for column, part in tower.parts.items():
        together, table = "beside" if tower.dense else "+", getattr(part, "embedding", None)
        read = "a vector" if table is None else f"{_table(table)} table, mean of {_kind(column)}"
        words += f" {together} {column} → {read}"
    return words + "".join(f" → dense {layer.units}" for layer in tower.dense)


@styled
def in_batch_matrix(
    users: Sequence[str], products: Sequence[str], *, names: Mapping[str, str] | None = None
) -> Picture:
    """Draw the users of a batch × its products as the in-batch softmax sees them: positives, negatives, accidents.

    An accidental hit is a row's own product again, elsewhere in the batch: a wrong negative. As in TFRS, only products
    are compared: a product that the user bought in another row stays a negative.

    Args:
        users, products: who bought what, `[batch]` each; legible up to a dozen.
        names: what to write for an id, for instance its title, shortened to 28 letters; ids without one are written.

    Raises:
        ValueError: not as many users as products, or none.
    """
    if len(users) != len(products) or not len(users):
        raise ValueError(
            f"{len(users)} users and {len(products)} products: expected a batch, a user and a product in each row."
        )
    bought, size, names = np.asarray(products, dtype=object), len(users), names or {}
    same, right = bought[:, None] == bought[None, :], np.eye(size, dtype=bool)
    kinds: dict[str, tuple[np.ndarray, str, dict[str, Any]]] = {
        "right answer": (right, "✓", {"facecolor": GREEN, "edgecolor": "white"}),
        "wrong answer": (~same, "–", {"facecolor": "white", "edgecolor": GREY}),
        "accidental hit": (same & ~right, "=", {"facecolor": ORANGE, **style.HATCHED}),
    }
    ax = style.axes("products of the batch", "users of the batch", height=2.2 + 0.32 * size)
    for cells, sign, look in kinds.values():
        for row, column in np.argwhere(cells):
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look))
            ground = {"boxstyle": "circle,pad=0.1", "facecolor": look["facecolor"], "edgecolor": "none"}
            ax.text(column, row, sign, ha="center", va="center_baseline", weight="bold", bbox=ground)
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    ax.set_xticks(range(size), [style.name(names.get(product, product)) for product in products], rotation=90)
    ax.set_yticks(range(size), [style.name(names.get(user, user)) for user in users])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    style.legend_above(ax, handles=[Patch(**look, label=f"{sign} {kind}") for kind, (_, sign, look) in kinds.items()])
    counted = [f"{cells.sum():,} {kind}{'' if cells.sum() == 1 else 's'}" for kind, (cells, _, _) in kinds.items()]
    return ax, "{} on the diagonal, {} and {} off it.".format(*counted)


@styled
def embeddings(before: np.ndarray, after: np.ndarray, categories: Sequence[str]) -> Picture:
    """Draw products before and after training, a panel each; colour and marker show the category; return the right one.

    Vectors are scaled to length 1, so near means a large cosine: by dot product, a few long vectors would be the
    nearest of most. A panel shows the two directions with most of the variance (PCA) and hides the others. The words
    count in all dimensions for how many products the nearest other one is of the same category; by chance, that is
    Σ n (n - 1) / (products - 1) over categories of n.

    Args:
        before, after: vectors `[products, dim]`, rows in the same order.
        categories: of each product, `[products]`.

    Raises:
        ValueError: not as many rows in both and categories, fewer than 2 products, or vectors of fewer than 2 numbers.
    """
    kinds, count = np.asarray(categories, dtype=object), len(categories)
    for name, vectors in (("before", before), ("after", after)):
        if np.ndim(vectors) != 2 or len(vectors) != count or min(np.shape(vectors)) < 2:
            raise ValueError(
                f"`{name}` has the shape {np.shape(vectors)} and there are {count:,} categories: expected "
                "[products, dim] with a category for each product, at least 2 products and 2 numbers a vector."
            )
    figure = style.axes("", "", height=4.2).figure
    figure.clear()
    alike = []
    for ax, name, vectors in zip(figure.subplots(1, 2), ("before", "after"), (before, after)):
        directions = np.asarray(vectors, float) / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        centred = directions - directions.mean(axis=0)
        _, lengths, axes_of = np.linalg.svd(centred, full_matrices=False)
        x, y = axes_of[:2] @ centred.T
        for number, kind in enumerate(np.unique(kinds)):
            colour, marker = style.COLOURS[number % 8], style.MARKERS[(number + number // 8) % 8]
            look: dict[str, Any] = {"color": colour, "marker": marker, "edgecolors": "black", "linewidths": 0.5}
            ax.scatter(x[kinds == kind], y[kinds == kind], s=36, label=style.name(kind), **look)
        share = (lengths[:2] ** 2).sum() / max(float((lengths**2).sum()), 1e-12)
        ax.set_title(f"{name} training\n({share:.0%} of the variance)")
        ax.set(xticks=[], yticks=[])
        cosines = directions @ directions.T
        np.fill_diagonal(cosines, -np.inf)
        alike.append((kinds[cosines.argmax(axis=1)] == kinds).sum())
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, markerscale=1.3)
    sizes = np.unique(kinds, return_counts=True)[1]
    words = f"For {alike[0]:,} of {count:,} products the nearest other one is of the same category before training, "
    return ax, words + f"for {alike[1]:,} after; by chance, for {(sizes * (sizes - 1)).sum() / (count - 1):.0f}."
