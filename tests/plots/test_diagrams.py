"""The diagrams show the sizes of the objects they are given, and the words say what can be counted by hand."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

from recsys_teach.backend import tf, tfrs
from recsys_teach.features import learn_vocabulary
from recsys_teach.plots import diagrams
from recsys_teach.towers import ProductTower, UserTower


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


REVIEWS = pd.DataFrame(  # 3 users, 2 products; 2 words in summaries, 3 in titles
    {
        "user_id": ["ann", "ben", "cem"],
        "product_id": ["tent", "wok", "tent"],
        "rating": [5.0, 4.0, 3.0],
        "summary": ["good tent", "good", ""],
        "title": ["red tent", "wok", "red tent"],
    }
)
VOCABULARY = learn_vocabulary(REVIEWS, max_words=10)


def boxes(ax):
    """The texts in boxes, and how often each is there."""
    return sorted(text.get_text().replace("\n", " ") for text in ax.texts if text.get_bbox_patch())


def arrows(ax):
    """From which box to which, by their texts."""
    by_place = {text.get_position(): text.get_text().split("\n")[0] for text in ax.texts if text.get_bbox_patch()}
    return [(by_place[text.get_position()], by_place[text.xy]) for text in ax.texts if text.get_text() == ""]


def test_two_towers_of_ids_show_a_row_for_each_id_and_one_for_the_unknown():
    ax, words = diagrams.two_towers(UserTower(VOCABULARY, dim=8), ProductTower(VOCABULARY, dim=8))
    assert words == "user_id → 4 × 8 table; product_id → 3 × 8 table; dot product → one score."
    score = "dot product of two vectors of 8 numbers → one score"
    users = ["user_id", "lookup: 3 ids, 0 for unknown", "embeddings 4 × 8"]
    products = ["product_id", "lookup: 2 ids, 0 for unknown", "embeddings 3 × 8"]
    assert boxes(ax) == sorted([*users, *products, score])
    assert {"user tower", "product tower"} <= {text.get_text() for text in ax.texts}
    path = ["lookup:", "embeddings", score]
    up = [*zip(["user_id", *path], path), *zip(["product_id", *path], path)]
    assert sorted(arrows(ax)) == sorted(up)


def test_two_towers_show_words_and_dense_layers_with_their_sizes():
    users = UserTower(VOCABULARY, dim=8, summary=True, layer_sizes=(16, 6))
    ax, words = diagrams.two_towers(users, ProductTower(VOCABULARY, dim=6, title=True))
    assert words == (
        "user_id → 4 × 8 table beside summary → 4 × 8 table, mean of words → dense 16 → dense 6; "
        "product_id → 3 × 6 table + title → 5 × 6 table, mean of words; dot product → one score."
    )
    merged = ["side by side: 16 numbers", "dense, relu: 16 numbers", "dense, linear: 6 numbers", "+"]
    inputs = ["user_id", "summary", "product_id", "title"]
    lookups = ["3 ids, 0 for unknown", "2 words, 1 for unknown", "2 ids, 0 for unknown", "3 words, 1 for unknown"]
    tables = ["4 × 8", "4 × 8, mean of words", "3 × 6", "5 × 6, mean of words"]
    assert boxes(ax) == sorted(
        [
            *merged,
            *inputs,
            *(f"lookup: {text}" for text in lookups),
            *(f"embeddings {text}" for text in tables),
            "dot product of two vectors of 6 numbers → one score",
        ]
    )
    assert arrows(ax).count(("embeddings", "side by side: 16 numbers")) == 2
    assert arrows(ax).count(("embeddings", "+")) == 2
    assert arrows(ax).count(("+", "dot product of two vectors of 6 numbers → one score")) == 1


def test_two_towers_show_a_history_and_a_feature():
    vocabulary = learn_vocabulary(REVIEWS.assign(category=["a", "b", "a"][: len(REVIEWS)], price=7.0))
    users = UserTower(vocabulary, dim=8, history=True)
    ax, words = diagrams.two_towers(users, ProductTower(vocabulary, dim=8, features=["category"]))
    assert "history → 3 × 8 table, mean of products" in words
    assert "category → 3 × 8 table, mean of categories" in words
    assert {"lookup: 2 products, 0 for none", "lookup: 2 categories, 0 for none"} <= set(boxes(ax))
    ax, words = diagrams.two_towers(users, ProductTower(vocabulary, dim=8, features=["price"]))
    assert "price → a vector" in words
    assert {"in standard deviations", "times one vector"} <= set(boxes(ax))
    with pytest.raises(ValueError, match="the product tower reads product_id, category, price: a diagram has room for"):
        diagrams.two_towers(users, ProductTower(vocabulary, dim=8, features=["category", "price"]))


@pytest.mark.parametrize("text", [False, True])
def test_the_shapes_in_the_diagram_are_those_of_the_weights(text):
    users, products = UserTower(VOCABULARY, summary=text), ProductTower(VOCABULARY, title=text)
    ax, _ = diagrams.two_towers(users, products)
    for tower in (users, products):
        tower({name: tf.constant(REVIEWS[name].to_numpy(object), tf.string) for name in tower.columns})  # builds it
        for weights in tower.trainable_variables:
            rows, dim = weights.shape
            assert any(f"{rows} × {dim}" in box for box in boxes(ax))


def test_towers_of_different_lengths_have_no_dot_product():
    with pytest.raises(ValueError, match="user tower's vectors have 8 numbers and the product tower's 4: a dot"):
        diagrams.two_towers(UserTower(VOCABULARY, dim=8), ProductTower(VOCABULARY, dim=4))


USERS, PRODUCTS = ["ann", "ben", "cem", "dee", "eva"], ["tent", "wok", "tent", "kite", "tent"]
ACCIDENTS = {(0, 2), (0, 4), (2, 0), (2, 4), (4, 0), (4, 2)}  # the three tents, each in the rows of the two others


def signs(ax):
    """The symbol of each cell (row, column)."""
    return {text.get_position()[::-1]: text.get_text() for text in ax.texts}


def test_a_batch_has_right_answers_on_its_diagonal_and_accidental_hits_elsewhere():
    ax, words = diagrams.in_batch_matrix(USERS, PRODUCTS)
    assert words == "5 right answers on the diagonal, 14 wrong answers and 6 accidental hits off it."
    found = signs(ax)
    assert {cell for cell, sign in found.items() if sign == "✓"} == {(place, place) for place in range(5)}
    assert {cell for cell, sign in found.items() if sign == "="} == ACCIDENTS
    assert len(found) == 25
    assert sorted(found.values()).count("–") == 14


def test_accidental_hits_are_hatched_too():
    ax, _ = diagrams.in_batch_matrix(USERS, PRODUCTS)
    hatched = {(int(cell.get_y() + 0.5), int(cell.get_x() + 0.5)) for cell in ax.patches if cell.get_hatch()}
    assert hatched == ACCIDENTS
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["✓ right answer", "– wrong answer", "= accidental hit"]


def test_accidental_hits_are_those_that_tfrs_takes_out():
    products = np.random.default_rng(0).choice(list("abcd"), 9).tolist()
    ax, _ = diagrams.in_batch_matrix([f"U{row}" for row in range(9)], products)
    layer = tfrs.layers.loss.RemoveAccidentalHits()
    left = layer(tf.eye(9), tf.zeros((9, 9)), tf.constant(products)).numpy()
    assert {cell for cell, sign in signs(ax).items() if sign == "="} == set(zip(*np.nonzero(left < -1)))


def test_a_batch_is_labelled_with_names_or_else_ids():
    ax, _ = diagrams.in_batch_matrix(["U1", "U2"], ["P1", "P2"], names={"U1": "Anna", "P2": "red wok"})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Anna", "U2"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["P1", "red wok"]
    top, bottom = (ax.transData.transform((0, row))[1] for row in (0, 1))
    assert top > bottom  # the first row is the first of the batch
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("products of the batch", "users of the batch")


def test_titles_of_any_kind_are_written_as_they_are_up_to_28_letters():
    titles = {"P1": "a $5 tent, once $10", "P2": "x" * 28, "P3": "y" * 29}
    ax, _ = diagrams.in_batch_matrix(["U1", "U2", "U3"], list(titles), names=titles)
    labels = ax.get_xticklabels()
    assert [label.get_text() for label in labels] == ["a $5 tent, once $10", "x" * 28, "y" * 27 + "…"]
    assert not labels[0].get_parse_math()


def test_a_batch_of_one_has_no_wrong_answers():
    _, words = diagrams.in_batch_matrix(pd.Series(["ann"], index=[7]), pd.Series(["tent"], index=[7]))
    assert words == "1 right answer on the diagonal, 0 wrong answers and 0 accidental hits off it."


@pytest.mark.parametrize(("users", "products"), [(["ann"], ["tent", "wok"]), ([], [])])
def test_a_batch_needs_a_user_and_a_product_in_each_row(users, products):
    with pytest.raises(ValueError, match=rf"^{len(users)} users and {len(products)} products: expected a batch"):
        diagrams.in_batch_matrix(users, products)


KINDS = ["a", "a", "b", "b"]
MIXED = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])  # each next to one of the other category
SORTED = np.array([[1.0, 0.0], [5.0, 0.5], [0.0, 1.0], [0.1, 3.0]])


def test_embeddings_count_the_products_whose_nearest_other_one_is_alike():
    _, words = diagrams.embeddings(MIXED, SORTED, KINDS)
    assert words == (
        "For 0 of 4 products the nearest other one is of the same category before training, for 4 after; "
        "by chance, for 1."  # each has one of its own among three others: 4 / 3
    )
    alone = [*KINDS[:3], "c"]
    assert diagrams.embeddings(MIXED, SORTED, alone)[1].endswith("for 2 after; by chance, for 1.")
    three = ["a", "a", "a", "b"]  # the third is next to the fourth; chance: 3 × 2 / 3
    assert diagrams.embeddings(MIXED, SORTED, three)[1].endswith("for 2 after; by chance, for 2.")


def test_nearest_is_by_direction_so_a_long_vector_is_not_near_to_everything():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [100.0, 90.0]])
    by_dot = vectors @ vectors.T
    np.fill_diagonal(by_dot, -np.inf)
    assert by_dot.argmax(axis=1)[:3].tolist() == [3, 3, 3]  # so none of "a" would have one of "a"
    _, words = diagrams.embeddings(vectors, vectors, KINDS)
    assert "For 3 of 4 products" in words  # the long one's nearest is the second


def test_chance_is_what_random_vectors_reach():
    kinds = np.repeat(list("abcd"), [40, 30, 20, 10])
    expected = (40 * 39 + 30 * 29 + 20 * 19 + 10 * 9) / 99
    rng = np.random.default_rng(0)
    words = [diagrams.embeddings(*rng.standard_normal((2, 100, 20)), kinds)[1] for _ in range(10)]
    assert all(line.endswith(f"by chance, for {expected:.0f}.") for line in words)
    found = [int(line.split()[1]) for line in words]
    assert np.mean(found) == pytest.approx(expected, abs=4)
    plt.close("all")


def spots(ax):
    """The points of a panel by category, `[points, 2]` each."""
    return {dots.get_label(): np.asarray(dots.get_offsets()) for dots in ax.collections}


def test_panels_keep_the_distances_of_directions_whose_differences_lie_in_a_plane():
    rng = np.random.default_rng(0)
    angles, lengths = rng.uniform(0, 2 * np.pi, 12), rng.uniform(0.1, 9, (12, 1))
    unit = np.column_stack([np.cos(angles), np.sin(angles), np.full(12, 2.0)]) / np.sqrt(5)  # on a cone
    space = np.linalg.qr(rng.standard_normal((5, 3)))[0]
    ax, _ = diagrams.embeddings(rng.standard_normal((12, 7)), lengths * (unit @ space.T), ["a", "b"] * 6)
    assert ax.get_title() == "after training\n(100% of the variance)"
    drawn = np.empty((12, 2))
    drawn[::2], drawn[1::2] = spots(ax)["a"], spots(ax)["b"]
    distances = [np.linalg.norm(points[:, None] - points[None, :], axis=2) for points in (drawn, unit)]
    np.testing.assert_allclose(*distances, atol=1e-9)


def test_two_panels_tell_eight_categories_by_colour_and_by_marker():
    kinds = list("abcdefgh") * 5
    ax, _ = diagrams.embeddings(*np.random.default_rng(0).standard_normal((2, 40, 6)), kinds)
    left, right = ax.figure.axes
    assert right is ax
    assert left.get_title().startswith("before training")
    for panel in (left, right):
        assert {name: len(points) for name, points in spots(panel).items()} == dict.fromkeys("abcdefgh", 5)
        assert len({tuple(dots.get_facecolor()[0]) for dots in panel.collections}) == 8
        assert len({dots.get_paths()[0].vertices.tobytes() for dots in panel.collections}) == 8
    legend = ax.figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == list("abcdefgh")
    ax.figure.canvas.draw()
    assert not legend.get_window_extent().overlaps(ax.bbox)


def test_more_than_eight_categories_still_differ_in_one_of_the_two():
    kinds = [f"{number:02}" for number in range(20)]
    ax, _ = diagrams.embeddings(*np.random.default_rng(0).standard_normal((2, 20, 6)), kinds)
    looks = {(tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes()) for dots in ax.collections}
    assert len(looks) == 20


def test_tensors_are_vectors_too():
    kinds = pd.Series(KINDS, index=[9, 8, 7, 6])
    _, words = diagrams.embeddings(tf.constant(MIXED), tf.constant(SORTED, tf.float32), kinds)
    assert words.startswith("For 0 of 4 products")
    assert "for 4 after" in words


def test_a_vector_of_zeros_has_a_place_too():
    ax, _ = diagrams.embeddings(MIXED, np.vstack([SORTED[:3], [[0.0, 0.0]]]), KINDS)
    assert all(np.isfinite(points).all() for points in spots(ax).values())


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (MIXED[:3], SORTED, r"`before` has the shape \(3, 2\) and there are 4 categories"),
        (MIXED, SORTED[0], r"`after` has the shape \(2,\) and there are 4 categories"),
        (MIXED, SORTED[:, :1], r"`after` has the shape \(4, 1\) and there are 4 categories"),
    ],
)
def test_embeddings_of_the_wrong_shape_are_refused_by_name(before, after, named):
    with pytest.raises(ValueError, match=named):
        diagrams.embeddings(before, after, KINDS)
