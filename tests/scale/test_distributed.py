"""Two worker processes learn what one does, and a training that was killed goes on as if it hadn't been."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from full_disk import full_disk
from prepared import write_prepared

import recsys_teach
from recsys_teach.backend import tf
from recsys_teach.ladder import choose_defaults
from recsys_teach.retrieval import gather_from_replicas
from recsys_teach.scale import distributed
from recsys_teach.scale.batches import read_train
from recsys_teach.scale.cluster import free_ports
from recsys_teach.scale.distributed import (
    Progress,
    epochs_finished,
    forget_optimizer,
    give_memory_back,
    open_folder,
    remove_checkpoints,
    strategy,
    train_prepared,
)
from recsys_teach.serving.server import Server
from recsys_teach.shop import generate_shop

pytestmark = pytest.mark.slow

EPOCHS, BATCH = 3, 128
PATIENCE = 600  # seconds until a process is given up
WORKER = """
import os, signal, sys
import numpy as np
from recsys_teach.scale.distributed import Progress, is_chief, strategy, train_prepared

folder, checkpoints, results, epochs, batch_size, dies = sys.argv[1:]
if dies == "dies":  # in the middle of the second epoch
    die = lambda self, batch, logs=None: self.epoch == 1 and batch > 10 and os.kill(os.getpid(), signal.SIGKILL)
    Progress.on_train_batch_end = die
model, losses = train_prepared(folder, epochs=int(epochs), batch_size=int(batch_size), checkpoints=checkpoints)
kept = [variable.numpy() for variable in [*model.trainable_variables, *model.optimizer.variables]]
np.savez(results, *kept)
losses.to_json(results + ".json")
"""
COMMAND = """
import os, signal, sys
import numpy as np
from recsys_teach.cli import app
from recsys_teach.scale import distributed
from recsys_teach.serving import saved_model

folder, checkpoints, shelf, epochs, batch_size, dies = sys.argv[1:]
train_prepared = distributed.train_prepared
def train_and_keep(*arguments, **settings):
    model, losses = train_prepared(*arguments, **settings)
    kept = [variable.numpy() for variable in [*model.trainable_variables, *model.optimizer.variables]]
    np.savez(shelf, *kept)
    losses.to_json(shelf + ".json")
    return model, losses
distributed.train_prepared = train_and_keep
if dies == "dies":  # when all is written, and is no version yet
    saved_model._numbered = lambda unfinished, folder: os.kill(os.getpid(), signal.SIGKILL)
arguments = ["--epochs", epochs, "--batch-size", batch_size, "--checkpoints", checkpoints, "--export", shelf]
app(["train", folder, *arguments])
"""


def state(model):
    """All that training changes: the parameters, and what Adagrad keeps of each."""
    return [variable.numpy() for variable in [*model.trainable_variables, *model.optimizer.variables]]


def two_workers(folder, checkpoints, results, *, program=WORKER, dies=None):
    """Run two workers to their ends; what they ended with, and what they said on stderr."""
    processes = []
    with free_ports(2) as ports, ExitStack() as files:
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        for index in range(2):
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            variables = {"TF_CONFIG": config, "PYTHONPATH": str(Path(recsys_teach.__file__).parent.parent)}
            arguments = [folder, checkpoints, f"{results}-{index}", EPOCHS, BATCH, "dies" if dies == index else "lives"]
            command = [sys.executable, "-c", program, *map(str, arguments)]
            out, err = (files.enter_context(open(f"{results}-{index}.{name}", "w")) for name in ("out", "err"))
            processes.append(subprocess.Popen(command, env=os.environ | variables, stdout=out, stderr=err))
        try:
            for process in processes:
                process.wait(timeout=PATIENCE)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    said = [Path(f"{results}-{index}.err").read_text() for index in range(2)]
    return [process.returncode for process in processes], said


def results_of(results):
    with np.load(f"{results}.npz") as kept:
        arrays = [kept[f"arr_{number}"] for number in range(len(kept.files))]
    return arrays, pd.read_json(f"{results}.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed") / "out"
    write_prepared(folder, generate_shop(users=250, products=60, seed=0).reviews, part_rows=150)
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    """The model and the losses of one process that nothing befell."""
    return train_prepared(folder, epochs=EPOCHS, batch_size=BATCH)


@pytest.fixture(scope="module")
def together(folder, tmp_path_factory):
    """The results of two workers whom nothing befell."""
    place = tmp_path_factory.mktemp("together")
    codes, said = two_workers(folder, place / "checkpoints", place / "results")
    assert codes == [0, 0], said
    return [results_of(place / f"results-{index}") for index in range(2)]


def test_the_losses_of_two_workers_are_those_of_one(alone, together):
    _, expected = alone
    assert expected.index.tolist() == [1, 2, 3]
    assert list(expected) == ["rating_loss", "retrieval_loss"]
    assert expected["retrieval_loss"].is_monotonic_decreasing
    for _, losses in together:
        np.testing.assert_allclose(losses[list(expected)], expected, rtol=1e-4)


def test_two_workers_learn_what_one_does(alone, together):
    model, _ = alone
    expected = state(model)
    for found, _ in together:
        assert [values.shape for values in found] == [values.shape for values in expected]
        for ours, theirs in zip(found, expected):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


@pytest.fixture(scope="module")
def killed(folder, tmp_path_factory):
    """Two workers whose chief is killed in the second epoch; two that go on, whose chief is killed in its export."""
    place = tmp_path_factory.mktemp("killed")
    codes, said = two_workers(folder, place / "checkpoints", place / "cut", dies=0)
    assert codes == [-9, 1], said
    cut = shutil.copytree(place / "checkpoints", place / "checkpoints-cut")
    codes, more = two_workers(folder, place / "checkpoints", place / "exporting", program=COMMAND, dies=0)
    assert codes == [-9, 0], more
    assert "retrieval_loss" in (place / "exporting-0.out").read_text()
    resumed = [results_of(place / f"exporting-{index}") for index in range(2)]
    return SimpleNamespace(said=said[1], cut=cut, resumed=resumed, checkpoints=place / "checkpoints")


def test_a_worker_says_which_other_one_it_lost(killed):
    sentence = (
        r"RuntimeError: worker 1 of 2 stopped, for worker 0 can't be reached any more \(.*\): "
        r"start all workers again: training resumes after epoch 1\."
    )
    assert re.search(sentence, killed.said), killed.said[-2000:]
    assert epochs_finished(killed.cut) == 1


def test_one_worker_goes_on_where_two_were(folder, together, killed, tmp_path):
    copy = shutil.copytree(killed.cut, tmp_path / "copy")
    model, losses = train_prepared(folder, epochs=EPOCHS, batch_size=BATCH, checkpoints=copy)
    assert losses.index.tolist() == [2, 3]
    for ours, theirs in zip(state(model), together[0][0]):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))


def test_two_workers_go_on_where_they_were(together, killed):
    assert epochs_finished(killed.checkpoints) == EPOCHS
    for (found, losses), (expected, all_losses) in zip(killed.resumed, together):
        assert losses.index.tolist() == [2, 3]
        np.testing.assert_allclose(losses, all_losses.loc[2:], rtol=1e-5)
        for ours, theirs in zip(found, expected):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_two_workers_whose_chief_is_killed_in_its_export_train_no_more(folder, alone, killed, tmp_path):
    checkpoints = shutil.copytree(killed.checkpoints, tmp_path / "checkpoints")
    codes, said = two_workers(folder, checkpoints, tmp_path / "again", program=COMMAND)
    assert codes == [0, 0], said
    printed = [(tmp_path / f"again-{index}.out").read_text() for index in range(2)]
    assert "retrieval_loss" not in printed[0]
    assert "multitask" in printed[0]
    assert printed[1] == ""
    assert list((tmp_path / "again-1").iterdir()) == []  # only the chief exports
    assert list(checkpoints.iterdir()) == []
    train = read_train(folder)
    asked = {"user_id": tf.constant(train["user_id"].unique()), "k": tf.constant(60)}
    exported = tf.saved_model.load(str(tmp_path / "again-0" / "1")).signatures["serving_default"]
    expected = Server(alone[0], train).recommend(**asked)["score"]
    np.testing.assert_allclose(exported(**asked)["score"], expected, rtol=0, atol=1e-4)


@pytest.fixture
def cut_short(folder, tmp_path):
    """The checkpoints of a process that was interrupted in its second epoch."""

    def interrupt(self, batch, logs=None):
        if self.epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_prepared(folder, epochs=EPOCHS, batch_size=BATCH, checkpoints=tmp_path)
    assert epochs_finished(tmp_path) == 1
    return tmp_path


def test_one_process_that_was_interrupted_goes_on_too(folder, alone, cut_short):
    model, losses = train_prepared(folder, epochs=EPOCHS, batch_size=BATCH, checkpoints=cut_short)
    expected, all_losses = alone
    pd.testing.assert_frame_equal(losses, all_losses.loc[2:], rtol=1e-5)
    for ours, theirs in zip(state(model), state(expected)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert epochs_finished(cut_short) == 0


def test_what_was_learned_is_kept_until_the_caller_is_done_with_it(folder, alone, tmp_path, monkeypatch):
    settings = {"batch_size": BATCH, "checkpoints": tmp_path, "keep_checkpoints": True}
    model, losses = train_prepared(folder, epochs=EPOCHS - 1, **settings)
    pd.testing.assert_frame_equal(losses, alone[1].loc[: EPOCHS - 1], rtol=1e-5)
    for _ in range(2):
        again, none = train_prepared(folder, epochs=EPOCHS - 1, **settings)
        assert none.empty
        for ours, theirs in zip(state(again), state(model)):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(
        ValueError, match=r"has finished 2 epochs, more than the 1 asked for: ask for 2 or more, remove"
    ):
        train_prepared(folder, epochs=1, **settings)

    model, losses = train_prepared(folder, epochs=EPOCHS, **settings)
    pd.testing.assert_frame_equal(losses, alone[1].loc[EPOCHS:], rtol=1e-5)
    for ours, theirs in zip(state(model), state(alone[0])):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr(distributed.shutil, "rmtree", interrupt)
        with pytest.raises(KeyboardInterrupt):
            remove_checkpoints(folder, tmp_path)
    assert epochs_finished(tmp_path) == 0  # nobody goes on from what is half removed
    remove_checkpoints(folder, tmp_path)
    assert list(tmp_path.iterdir()) == []


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_the_recipe_follows_the_number_of_training_rows(tmp_path):
    reviews = generate_shop(users=500, products=60, seed=0).reviews
    train, _ = write_prepared(tmp_path / "out", reviews)
    validation = pd.read_parquet(tmp_path / "out" / "validation.parquet")
    _, recipe = open_folder(tmp_path / "out")
    assert recipe == choose_defaults(train, validation)
    assert recipe.batch_size > choose_defaults(train.drop_duplicates("user_id"), validation).batch_size


def test_a_full_disk_is_told_and_with_more_room_it_goes_on(folder, alone, tmp_path, monkeypatch):
    """Full while the second epoch is kept: 1,000 bytes are enough for nothing that TensorFlow writes then."""
    with monkeypatch.context() as patch, ExitStack() as disk:

        def fills(self, batch, logs=None):
            if self.epoch == 1:
                disk.enter_context(full_disk(after=1000))

        patch.setattr(Progress, "on_train_batch_end", fills)
        sentence = rf"^{tmp_path} can't be written \(File too large\): make room .* training resumes after epoch 1\.$"
        with pytest.raises(OSError, match=sentence):
            train_prepared(folder, epochs=EPOCHS, batch_size=BATCH, checkpoints=tmp_path)
    model, losses = train_prepared(folder, epochs=EPOCHS, batch_size=BATCH, checkpoints=tmp_path)
    pd.testing.assert_frame_equal(losses, alone[1].loc[2:], rtol=1e-5)
    for ours, theirs in zip(state(model), state(alone[0])):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_disk_that_is_full_from_the_beginning_is_told(folder, tmp_path):
    with full_disk(after=0), pytest.raises(OSError, match=r"settings\.json can't be written \(File too large\): make"):
        train_prepared(folder, epochs=EPOCHS, batch_size=BATCH, checkpoints=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["settings.json", "chief"])
def test_files_of_somebody_else_are_left_where_they_are(folder, tmp_path, name):
    path = tmp_path / name / "notes.txt" if name == "chief" else tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"mine": 1}')
    for do in (lambda: train_prepared(folder, checkpoints=tmp_path), lambda: remove_checkpoints(folder, tmp_path)):
        with pytest.raises(ValueError, match=f"holds '{name}', which isn't of a training: name another folder"):
            do()
    assert path.read_text() == '{"mine": 1}'
    with pytest.raises(ValueError, match="is a file: name a folder in checkpoints"):
        train_prepared(folder, checkpoints=path)


def test_a_model_without_its_optimizer_answers_the_same(folder):
    model, _ = train_prepared(folder, epochs=1, batch_size=BATCH)
    test, of_adagrad = pd.read_parquet(folder / "test.parquet"), model.optimizer.variables
    before = model.scores(test), model.ratings(test)
    assert sum(variable.numpy().size for variable in of_adagrad) > 250 + 60
    forget_optimizer(model)
    assert sum(variable.numpy().size for variable in of_adagrad) == 0
    for answer, was in zip((model.scores(test), model.ratings(test)), before):
        np.testing.assert_array_equal(answer, was)


HELD = """
from pathlib import Path
from recsys_teach.backend import tf
from recsys_teach.scale.distributed import give_memory_back

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon"))

give_memory_back(batch_size=1_024)
tf.ones([1])  # from here on, TensorFlow's devices are there
before = held()
table = tf.Variable(tf.ones([50_000_000]))
full = held()
del table
print(full - before, held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory a process holds")
def test_memory_that_a_variable_took_is_given_back(monkeypatch):
    monkeypatch.delenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", raising=False)
    variables = {"PYTHONPATH": str(Path(recsys_teach.__file__).parent.parent)}
    command = [sys.executable, "-c", HELD]
    said = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True).stdout
    full, left = map(float, said.split())
    assert full > 150  # MB, of 200
    assert left < 50


def test_large_batches_leave_tensorflows_memory_as_it_is(monkeypatch):
    name = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
    monkeypatch.setenv(name, "0")
    give_memory_back(256)
    assert os.environ[name] == "0"  # as somebody has chosen
    monkeypatch.delenv(name)
    give_memory_back(4_096)
    assert name not in os.environ


def test_a_training_of_no_epochs_leaves_nothing(folder, tmp_path):
    with pytest.raises(ValueError, match="epochs is 0: expected 1 or more"):
        train_prepared(folder, epochs=0, checkpoints=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_another_training_does_not_go_on_from_there(folder, cut_short):
    with pytest.raises(ValueError, match=r"had another batch_size \(128 then, 64 now\): go on with the same, remove"):
        train_prepared(folder, epochs=EPOCHS, batch_size=64, checkpoints=cut_short)
    assert epochs_finished(cut_short) == 1


@pytest.mark.parametrize("name", ["validation.parquet", "train/02-0001.parquet", "users.parquet", "manifest.json"])
def test_a_file_that_is_missing_is_told_before_anybody_is_waited_for(folder, tmp_path, monkeypatch, name):
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    monkeypatch.setenv("TF_CONFIG", "would be read now")
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        train_prepared(tmp_path / "out", batch_size=BATCH)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_where_there_is_one_replica_all_rows_are_its_own():
    values = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    assert gather_from_replicas(values) is values
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        assert gather_from_replicas(values) is values


@pytest.mark.parametrize(
    ("number", "expected"), [(0, [1, 2, 3, 4, 5, 6]), (1, [3, 4, 5, 6, 1, 2]), (2, [5, 6, 1, 2, 3, 4])]
)
def test_the_rows_of_all_replicas_begin_with_ones_own(monkeypatch, number, expected):
    everybody = tf.reshape(tf.range(1, 7), [6, 1])  # two rows of each of three replicas

    def all_gather(values, axis):
        np.testing.assert_array_equal(values, everybody[2 * number : 2 * number + 2])
        return everybody

    replica = SimpleNamespace(num_replicas_in_sync=3, replica_id_in_sync_group=number, all_gather=all_gather)
    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: replica)
    assert gather_from_replicas(everybody[2 * number : 2 * number + 2])[:, 0].numpy().tolist() == expected


def test_a_port_that_is_held_is_for_a_server_and_for_nobody_else():
    with free_ports(2) as ports:
        assert len({*ports}) == 2
        with (
            socket.create_server(("", ports[0])) as server,
            socket.create_connection(("localhost", ports[0])) as client,
        ):
            connection, address = server.accept()
            connection.close()
            assert address == client.getsockname()
        if sys.platform == "linux":
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("localhost", ports[1]))
    with socket.socket() as other:
        other.bind(("localhost", ports[1]))


def test_without_workers_this_process_trains_alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert strategy().num_replicas_in_sync == 1


@pytest.mark.parametrize(
    "config",
    [
        "worker 0",
        "[]",
        '{"cluster": {"worker": ["localhost:1"]}}',
        '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_cluster_that_cannot_be_read_is_named(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=r"TF_CONFIG is .* expected JSON with the addresses of a \"cluster\""):
        strategy()
