"""A chief, two workers and two parameter servers learn about what one process does, and no server holds all users."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from prepared import write_prepared

import recsys_teach
from recsys_teach.backend import tf
from recsys_teach.cluster import free_ports
from recsys_teach.distributed import ready_model, strategy, train_prepared
from recsys_teach.judge import judge
from recsys_teach.recipes import Recipe
from recsys_teach.schema import PRODUCT, RATING, USER
from recsys_teach.servers import _counts_to_servers, serve, train_on_servers
from recsys_teach.shop import generate_shop
from recsys_teach.stream import read_vocabulary

EPOCHS, BATCH = 8, 128
PATIENCE = 600  # seconds until the processes are given up
CLUSTER = """
import json, os, signal, sys
from recsys_teach.judge import judge
from recsys_teach.progress import Progress
from recsys_teach.servers import serve, train_on_servers

folder, results, epochs, batch_size, cluster, victims = sys.argv[1:]
cluster, victims, processes = json.loads(cluster), json.loads(victims), {}
for role, addresses in cluster.items():  # TensorFlow takes long to load: it is loaded once, and starts in each of them
    for index in range(len(addresses)):
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})
        if role != "chief":
            processes[f"{role} {index}"] = os.fork()
            if not processes[f"{role} {index}"]:
                serve()

told = Progress.on_epoch_end
def on_epoch_end(self, epoch, logs=None):
    told(self, epoch, logs)
    print("finished", epoch + 1, flush=True)
    if str(epoch + 1) in victims:
        os.kill(processes[victims[str(epoch + 1)]], signal.SIGKILL)
Progress.on_epoch_end = on_epoch_end

try:
    model, losses = train_on_servers(folder, epochs=int(epochs), batch_size=int(batch_size), min_shard_bytes=256)
except RuntimeError as error:
    print(error, flush=True)
    os._exit(3)  # or else TensorFlow would wait for the worker that was lost
losses.to_json(results + "-losses.json")
judge(folder, model).to_json(results + "-board.json")
weights = [[weight.name, weight.shape.as_list(), weight.device] for weight in model.weights]
slots = [shard for slot in model.optimizer.variables for shard in getattr(slot, "variables", [slot])]
slots = [[slot.name, slot.shape.as_list(), slot.device] for slot in slots]
with open(results + "-shards.json", "w") as file:
    json.dump({"weights": weights, "slots": slots}, file)
"""


def run_cluster(folder, results, victims=None):
    """Run a chief, two workers and two servers; what the chief ended with, its stdout and all stderr.

    `victims` are killed at the ends of epochs: {"1": "worker 0"}.
    """
    out, err = (results.with_name(f"{results.name}-{name}.txt") for name in ("out", "err"))
    with free_ports(5) as ports, out.open("w") as stdout, err.open("w") as stderr:
        cluster = {"worker": ports[:2], "ps": ports[2:4], "chief": ports[4:]}  # the chief is the process that forks
        cluster = {role: [f"localhost:{port}" for port in some] for role, some in cluster.items()}
        arguments = [folder, results, EPOCHS, BATCH, json.dumps(cluster), json.dumps(victims or {})]
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(Path(recsys_teach.__file__).parent.parent), "TQDM_DISABLE": "1"},
            stdout=stdout,  # a pipe would stay open as long as a server lives
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.wait(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):  # the servers would serve for ever
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, out.read_text(), err.read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("servers") / "out"
    write_prepared(folder, generate_shop(users=250, products=60, seed=0).reviews, part_rows=150)
    return folder


@pytest.fixture(scope="module")
def results(folder, tmp_path_factory):
    """What the chief wrote."""
    results = tmp_path_factory.mktemp("results") / "chief"
    code, _, said = run_cluster(folder, results)
    assert code == 0, said
    return results


def test_no_server_holds_all_users_nor_what_adagrad_keeps_of_them(folder, results):
    users = 1 + len(read_vocabulary(folder).users)
    halves = {users // 2, users - users // 2}
    servers = {f"/job:ps/replica:0/task:{index}/device:CPU:0" for index in range(2)}
    for variables in json.loads(Path(f"{results}-shards.json").read_text()).values():
        vectors = [(shape[0], device) for _, shape, device in variables if shape[1:] == [32] and shape[0] in halves]
        assert sum(rows for rows, _ in vectors) == users
        assert {device for _, device in vectors} == servers
        assert users not in [rows for _, shape, _ in variables for rows in shape]
        assert {device for _, _, device in variables} == servers


def test_it_learns_about_what_one_process_does(folder, results):
    model, alone = train_prepared(folder, epochs=EPOCHS, batch_size=BATCH)
    together = pd.read_json(f"{results}-losses.json")
    assert list(together) == list(alone)
    assert together.index.tolist() == alone.index.tolist()
    assert together["rating_loss"].is_monotonic_decreasing
    assert together["retrieval_loss"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(together, alone, check_names=False, rtol=0.03)

    expected, board = judge(folder, model), pd.read_json(f"{results}-board.json")
    assert board.loc["multitask", "hit@10"] > board.loc["popularity", "hit@10"]
    assert board.loc["multitask", "rmse"] < board.loc["damped biases", "rmse"]
    assert board.loc["multitask", "hit@10"] == pytest.approx(expected.loc["multitask", "hit@10"], rel=0.05)
    assert board.loc["multitask", "rmse"] == pytest.approx(expected.loc["multitask", "rmse"], rel=0.01)


def test_a_lost_worker_is_done_without_and_a_lost_server_is_told(folder, tmp_path):
    code, told, said = run_cluster(folder, tmp_path / "chief", {"1": "worker 0", "2": "ps 1"})
    assert code == 3, said[-2000:]
    *finished, sentence, _ = told.split("\n")
    assert finished == ["finished 1", "finished 2"]
    assert re.fullmatch(r"a parameter server can't be reached any more \(.*\), .*: start all .* again\.", sentence)


def test_counts_that_are_kept_with_the_servers_are_the_same_counts(folder):
    recipe = Recipe(batch_size=BATCH, unknown_user_dropout=0.0)
    model = ready_model(read_vocabulary(folder), recipe, learning_rate=0.1, seed=0)
    ids = {USER: tf.constant([0, 1, 250]), PRODUCT: tf.constant([1, 2, 2]), RATING: tf.constant([1.0, 5.0, 3.0])}
    before, weights = model.compute_loss(ids).numpy(), len(model.trainable_weights)
    _counts_to_servers(model)
    assert model.compute_loss(ids).numpy() == before
    assert len(model.trainable_weights) == weights
    assert len(model.non_trainable_weights) >= 3


def config(monkeypatch, role, **cluster):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}}))


ALL = {"chief": ["localhost:1"], "worker": ["localhost:2"], "ps": ["localhost:3"]}


@pytest.mark.parametrize("missing", list(ALL))
def test_a_cluster_that_lacks_a_role_is_told(monkeypatch, folder, missing):
    cluster = {role: addresses for role, addresses in ALL.items() if role != missing}
    config(monkeypatch, next(iter(cluster)), **cluster)
    for call in (serve, lambda: train_on_servers(folder)):
        with pytest.raises(ValueError, match=rf"the cluster of TF_CONFIG has no {missing} \(it has: .*\): expected"):
            call()


@pytest.mark.parametrize("call", [serve, lambda: train_on_servers("nowhere")])
def test_without_tf_config_there_is_no_cluster(monkeypatch, call):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=r"TF_CONFIG is '' .*: expected JSON with the addresses of a \"cluster\""):
        call()


def test_who_calls_the_other_role_s_function_is_told(monkeypatch):
    config(monkeypatch, "chief", **ALL)
    with pytest.raises(ValueError, match=r"`serve`, .* was called by chief 0 of TF_CONFIG: expected worker or ps\."):
        serve()
    config(monkeypatch, "ps", **ALL)
    with pytest.raises(ValueError, match=r"`train_on_servers`, .* was called by ps 0 of TF_CONFIG: expected chief\."):
        train_on_servers("nowhere")


def test_who_trains_with_workers_only_is_told_of_servers(monkeypatch):
    config(monkeypatch, "worker", **ALL)
    with pytest.raises(ValueError, match=r"worker 0 names parameter servers .*: use `servers\.train_on_servers`"):
        strategy()


@pytest.mark.parametrize("name", ["validation.parquet", "train/02-0001.parquet", "users.parquet", "manifest.json"])
def test_a_file_that_is_missing_is_told_before_anybody_is_waited_for(folder, tmp_path, monkeypatch, name):
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    config(monkeypatch, "chief", **ALL)
    with pytest.raises(FileNotFoundError, match=re.escape(name)):
        train_on_servers(tmp_path / "out", batch_size=BATCH)
