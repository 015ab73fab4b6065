"""Exports: what a process without this package answers is what the server answers, and a failure leaves nothing."""

import hashlib
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from full_disk import full_disk
from test_server import TRAIN, CountryTower, planted

from recsys_teach.backend import tf
from recsys_teach.serving import saved_model as module
from recsys_teach.serving.saved_model import MANIFEST, export, fingerprint, versions
from recsys_teach.serving.server import Server

ALONE = """
import json, sys
sys.modules.update(dict.fromkeys(["recsys_teach", "tensorflow_recommenders"]))  # to import them is an error now
import tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
users = tf.constant(["ann", "bob", "nobody"])
answer = signatures["serving_default"](user_id=users, k=tf.constant(3)) | signatures["user_vectors"](user_id=users)
answer = {name: values.numpy() for name, values in answer.items()}
answer["product_id"] = answer["product_id"].astype(str)
print(json.dumps({name: values.tolist() for name, values in answer.items()}))
"""


def test_a_process_that_has_nothing_but_tensorflow_gives_the_same_answers(tmp_path):
    server = Server(planted(product_bias=[[0.5], [0], [1], [0]]), TRAIN)
    folder = export(server, tmp_path / "models")
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    run = subprocess.run(
        [sys.executable, "-c", ALONE, str(folder)], env=environment, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    users = tf.constant(["ann", "bob", "nobody"])
    expected = server.recommend(user_id=users, k=tf.constant(3)) | server.user_vectors(user_id=users)
    assert answer.keys() == expected.keys()
    assert answer.pop("product_id") == expected["product_id"].numpy().astype(str).tolist()
    for name, values in answer.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, err_msg=name)


REQUESTS = """
import json, sys
import numpy as np
import tensorflow as tf

def tensor(dtype, shape, values):
    values = [text.encode("latin-1") if isinstance(text, str) else text for text in values]
    return tf.constant(values, dtype, shape)

signatures = tf.saved_model.load(sys.argv[1]).signatures
for name, inputs in json.load(sys.stdin):
    try:
        answer = signatures[name](**{column: tensor(*given) for column, given in inputs.items()})
        answer = {column: values.numpy() for column, values in answer.items()}
        answer = {column: v.astype(str) if v.dtype == object else v for column, v in answer.items()}
        said = {column: [v.shape, v.ravel().tolist()] for column, v in answer.items()}
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps(said), flush=True)
"""
SHAPES = [(), (0,), (1,), (2,), (3,), (1, 1), (2, 1), (0, 3), (1, 2, 1), (0, 1, 1)]


def texts(shape, *some):
    return "string", shape, list(itertools.islice(itertools.cycle(some), int(np.prod(shape))))


def all_requests():
    """Each a signature and its inputs, which are their dtype, shape and values (bytes as Latin-1)."""
    users = [texts(shape, "ann", "\xff\xfe", "bob") for shape in SHAPES]
    users += [texts((2,), "", "\x00"), ("int32", (2,), [1, 2]), ("float64", (), [float("nan")]), ("bool", (1,), [True])]
    summaries = [texts(shape, "warm \xc3( tent", "", "\xff") for shape in SHAPES] + [("int64", (2,), [1, 2])]
    ks = [("int32", (), [k]) for k in (3, 0, -1, 5_000, 5_001, 2**31 - 1, -(2**31))]
    ks += [("int32", (len(each),), each) for each in ([], [4], [2, 0], [1, -1], [1, 2, 3], [2**31 - 1] * 2)]
    ks += [("int32", (1, 1), [1]), ("int32", (2, 1), [1, 2]), ("int32", (0, 2), [])]
    ks += [("int64", (), [2**31]), ("int64", (), [3]), ("float32", (), [float("nan")]), ("string", (), ["3"])]
    of_length = {shape[:1]: texts(shape, "warm tent", "") for shape in SHAPES if len(shape) == 1}
    for user, k in itertools.product(users, ks):
        fitting = of_length.get(tuple(user[1]), texts((1,), "tent"))
        yield "serving_default", {"user_id": user, "summary": fitting, "k": k}
    for user, summary in itertools.product(users, summaries):
        yield "serving_default", {"user_id": user, "summary": summary, "k": ("int32", (), [2])}
        yield "user_vectors", {"user_id": user, "summary": summary}


def faults(inputs):
    """What an error may say, by hand: the name and dtype, shape or value of any input that is wrong."""
    places = {name: place for place, name in enumerate(sorted(inputs))}
    types = {name: "int32" if name == "k" else "string" for name in inputs}
    said = {name: (f"input #{places[name]}(zero-based)", f"a {types[name]} tensor") for name in inputs}
    if wrong := [said[name] for name, (dtype, _, _) in inputs.items() if dtype != types[name]]:
        return wrong
    shapes = {name: tuple(shape) for name, (_, shape, _) in inputs.items()}
    printed = {name: f"[{' '.join(map(str, shape))}]" for name, shape in shapes.items()}
    k_shape, users = shapes.pop("k", ()), shapes["user_id"]
    wrong = [name for name, shape in shapes.items() if len(shape) != 1 or (len(users) == 1 and shape != users)]
    if len(users) == 1 and k_shape not in ((), users):
        wrong.append("k")
    found = [(f"[{name}: expected ", printed[name]) for name in wrong]
    outside = [k for k in inputs.get("k", ("", (), []))[2] if not 0 <= k <= 5_000]
    return found + ([("[k: expected 0 to 5000 products", f"[{outside[0]}]")] if outside and len(users) == 1 else [])


def test_no_request_ends_the_process_and_each_gets_the_right_answer_or_an_error_that_names_the_input(tmp_path):
    server = Server(planted(summary=True), TRAIN)
    folder, requests = export(server, tmp_path), list(all_requests())
    assert len(requests) > 500
    command = [sys.executable, "-c", REQUESTS, str(folder)]
    run = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, timeout=600)
    lines = run.stdout.splitlines()
    assert run.returncode == 0, (requests[len(lines) :][:1], run.stderr[-2000:])
    answered = 0
    for (signature, inputs), said in zip(requests, map(json.loads, lines), strict=True):
        if wrong := faults(inputs):
            assert isinstance(said, str), (inputs, said)
            assert said.startswith("InvalidArgumentError"), said
            assert any(name in said and what in said for name, what in wrong), (inputs, said)
            continue
        values = {name: [str(v).encode("latin-1") for v in given[2]] for name, given in inputs.items()}
        tensors = {name: tf.constant(values[name], tf.string) for name in server.asked}
        function = server.user_vectors
        if signature == "serving_default":
            function, tensors["k"] = server.recommend, tf.constant(inputs["k"][2], tf.int32, inputs["k"][1])
        expected = {name: values.numpy() for name, values in function(**tensors).items()}
        assert isinstance(said, dict), (inputs, said)
        assert {name: shape for name, (shape, _) in said.items()} == {n: list(v.shape) for n, v in expected.items()}
        if "product_id" in said:
            assert said.pop("product_id")[1] == expected["product_id"].astype(str).ravel().tolist()
        for name, (_, values) in said.items():
            np.testing.assert_allclose(values, expected[name].ravel(), rtol=1e-6, err_msg=name)
        answered += 1
    assert answered >= 30


HISTORIES = [(), (0,), (2,), (1, 0), (1, 1), (2, 0), (2, 1), (2, 3), (0, 2), (3, 2), (1, 2, 1), (2, 1_001)]


def test_no_history_ends_the_process_and_each_that_fits_is_answered_as_in_memory(tmp_path):
    server = Server(planted(history=True, features=["category"]), TRAIN)
    folder, requests = export(server, tmp_path), []
    users = [texts(shape, "ann", "bob") for shape in [(), (0,), (1,), (2,), (1, 1)]]
    for user, shape in itertools.product(users, HISTORIES):
        history = texts(shape, "rope", "", "never heard of", "\xff")
        requests.append(("serving_default", {"user_id": user, "history": history, "k": ("int32", (), [3])}))
        requests.append(("user_vectors", {"user_id": user, "history": history}))
    command = [sys.executable, "-c", REQUESTS, str(folder)]
    run = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, timeout=600)
    lines = run.stdout.splitlines()
    assert run.returncode == 0, (requests[len(lines) :][:1], run.stderr[-2000:])
    answered = 0
    for (signature, inputs), said in zip(requests, map(json.loads, lines), strict=True):
        shapes = [tuple(inputs[name][1]) for name in ("user_id", "history")]
        if not (len(shapes[0]) == 1 and len(shapes[1]) == 2 and shapes[1][0] == shapes[0][0] and shapes[1][1] < 1_001):
            assert isinstance(said, str), (inputs, said)
            assert "[history: expected " in said or "[user_id: expected " in said, said
            continue
        values = {name: [text.encode("latin-1") for text in inputs[name][2]] for name in ("user_id", "history")}
        tensors = {name: tf.constant(values[name], tf.string, inputs[name][1]) for name in values}
        if signature == "serving_default":
            expected = server.recommend(**tensors, k=tf.constant(3))
            assert said["product_id"][1] == expected["product_id"].numpy().astype(str).ravel().tolist()
            np.testing.assert_allclose(said["score"][1], expected["score"].numpy().ravel(), rtol=1e-6)
        else:
            np.testing.assert_allclose(said["vector"][1], server.user_vectors(**tensors)["vector"].numpy().ravel())
        answered += 1
    assert answered == 2 * 6


def test_the_lookups_of_another_persons_tower_are_exported(tmp_path):
    server = Server(planted(user_tower=CountryTower, summary=True), TRAIN)
    signatures = tf.saved_model.load(str(export(server, tmp_path))).signatures
    users = {"user_id": ["ann", "ann", "nobody"], "summary": ["tent", "", "warm"], "country": ["de", "?", "fr"]}
    users = {name: tf.constant(values) for name, values in users.items()}
    answer, expected = signatures["serving_default"](**users, k=tf.constant(2)), server.recommend(**users, k=2)
    assert answer["product_id"].numpy().tolist() == expected["product_id"].numpy().tolist()
    np.testing.assert_allclose(answer["score"], expected["score"], rtol=1e-6)
    vectors = signatures["user_vectors"](**users)["vector"]
    np.testing.assert_allclose(vectors, server.user_vectors(**users)["vector"], rtol=1e-6)


def test_exports_are_numbered_and_say_what_they_are(tmp_path):
    server = Server(planted(), TRAIN)
    (tmp_path / "9").mkdir()
    (tmp_path / "notes").mkdir()
    folder = export(server, tmp_path, scores=pd.Series({"hit@10": 0.25, "rmse": np.nan}))
    assert folder == tmp_path / "10"
    assert versions(tmp_path) == [9, 10]
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["train"] == {"rows": 6, "users": 3, "products": 4, "sha256": fingerprint(TRAIN)}
    assert manifest["scores"] == {"hit@10": 0.25, "rmse": None}
    assert manifest["versions"]["tensorflow"] == tf.__version__
    assert (manifest["catalogue"], manifest["inputs"]) == (4, ["user_id", "k"])


def test_the_fingerprint_is_that_of_the_values():
    assert fingerprint(TRAIN) == fingerprint(TRAIN.set_index(TRAIN.index + 7))
    other = TRAIN.assign(rating=TRAIN["rating"].mask(TRAIN.index == 5, 3.0))
    renamed = TRAIN.rename(columns={"rating": "stars"})
    assert len({fingerprint(table) for table in (TRAIN, other, renamed, TRAIN[::-1])}) == 4


def test_the_fingerprint_of_many_rows_is_that_of_all_at_once(monkeypatch):
    hashes = pd.util.hash_pandas_object(TRAIN, index=False).to_numpy()
    at_once = hashlib.sha256(json.dumps(list(TRAIN)).encode() + hashes.tobytes()).hexdigest()
    monkeypatch.setattr(module, "HASHED", 4)
    assert fingerprint(TRAIN) == at_once


@pytest.mark.parametrize(
    "fault",
    [
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "{{node}} a/b; No space left on device [Op:SaveV2]"),
    ],
)
def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, fault):
    server = Server(planted(), TRAIN)
    export(server, tmp_path)

    def fail(used, folder, **more):
        with open(f"{folder}/saved_model.pb", "w") as half:
            half.write("half")
        raise fault

    monkeypatch.setattr(module.tf.saved_model, "save", fail)
    with pytest.raises(
        OSError, match=r"the export to .* failed \(.*No space left on device\): make room there"
    ) as caught:
        export(server, tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_full_disk_leaves_nothing_and_with_more_room_it_works(tmp_path):
    server = Server(planted(), TRAIN)
    with (
        full_disk(after=1000),
        pytest.raises(OSError, match=r"the export to .* failed \(.*File too large\): make room"),
    ):
        export(server, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert export(server, tmp_path) == tmp_path / "1"


def test_control_c_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(Server(planted(), TRAIN), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_of_two_exports_at_once_each_gets_a_number(tmp_path, monkeypatch):
    """The other one takes number 1 after this one has looked which numbers are free."""
    look = module.versions

    def look_too_early(folder):
        found = look(folder)
        if not found:
            (folder / "1" / "variables").mkdir(parents=True)
        return found

    monkeypatch.setattr(module, "versions", look_too_early)
    assert export(Server(planted(), TRAIN), tmp_path) == tmp_path / "2"
    assert (tmp_path / "1" / "variables").exists()
    assert look(tmp_path) == [1, 2]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/models can't be written \(.+\): name a folder that can"):
        export(Server(planted(), TRAIN), tmp_path / "file" / "models")
