"""Exports: what a process without this package answers is what the server answers, and a failure leaves nothing."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from full_disk import full_disk
from test_serving import TRAIN, planted

from recsys_teach import export as module
from recsys_teach.backend import tf
from recsys_teach.export import MANIFEST, export, fingerprint, versions
from recsys_teach.serving import Server

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
        [sys.executable, "-c", ALONE, str(folder)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    users = tf.constant(["ann", "bob", "nobody"])
    expected = server.recommend(user_id=users, k=tf.constant(3)) | server.user_vectors(user_id=users)
    assert answer.keys() == expected.keys()
    assert answer.pop("product_id") == expected["product_id"].numpy().astype(str).tolist()
    for name, values in answer.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, err_msg=name)


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


def test_what_a_killed_export_left_is_removed_a_day_later_and_one_at_work_is_left_alone(tmp_path):
    for name in (".unfinished-dead", ".unfinished-at-work"):
        (tmp_path / name / "variables").mkdir(parents=True)
    os.utime(tmp_path / ".unfinished-dead", (1_600_000_000, 1_600_000_000))
    export(Server(planted(), TRAIN), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unfinished-at-work", "1"]


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
