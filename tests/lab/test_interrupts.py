"""Ctrl-C in a real kernel, in the middle of what takes long: the notebook goes on as if nothing had been started."""

import os
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

import recsys_teach

pytestmark = pytest.mark.slow

PATIENCE = 600  # seconds until a kernel is given up
SET_UP = """
import threading
from functools import partial
import numpy as np
from tqdm.auto import tqdm
from test_stacking import CORRECTIONS, PAIRS, TEST, TRAIN, VOCABULARY, model
from recsys_teach import ladder
from recsys_teach.serving.saved_model import export
from recsys_teach.lab.view import WeightLab
from recsys_teach.evaluation import scoreboard
from recsys_teach.ranking import DenseHead
from recsys_teach.serving.server import Server
from recsys_teach.lab.stacking import train_sweep
from recsys_teach.training import train_model

settings = {"batch_size": 64, "seed": 5}
long = {"epochs": 10**9, "after_epoch": lambda epoch: print("now" * (epoch == 2), flush=True)}

def fresh():
    new = model(**CORRECTIONS)
    losses = train_model(new, TRAIN, epochs=2, **settings)
    return losses, new.user_tower.embedding.embeddings.numpy()

before = fresh()
"""


class Notebook:
    """A kernel that runs cells, and is interrupted where a cell prints "now"."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def run(self, cell, stop=None):
        """What the cell printed, and the name of the error that it ended in, if any."""
        asked, printed, error = self.client.execute(cell), "", None
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            content = message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "stream":
                printed += content["text"]
                if stop and "now" in content["text"]:
                    stop()
            elif message["msg_type"] == "error":
                error = content["ename"]
                printed += "\n".join(content["traceback"])
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed, error

    def interrupted(self, cell):
        """Whether Ctrl-C, pressed when it prints "now", ends the cell."""
        printed, error = self.run(cell, self.manager.interrupt_kernel)
        assert error == "KeyboardInterrupt", printed
        assert self.run("print(len(tqdm._instances))") == ("0\n", None), "a progress bar is left over"

    def works(self, cell):
        printed, error = self.run(cell)
        assert error is None, printed


@pytest.fixture(scope="module")
def notebook():
    places = [Path(__file__).parent, Path(__file__).parents[1], Path(recsys_teach.__file__).parents[1]]
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, places))
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=PATIENCE, env=environment)
    try:
        notebook = Notebook(manager, client)
        notebook.works(SET_UP)
        yield notebook
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_training_and_then_the_scoreboard_and_training_again(notebook):
    notebook.interrupted("half = model(**CORRECTIONS)\ntrain_model(half, TRAIN, **long, **settings)")
    notebook.works("assert scoreboard({'half': half}, TRAIN, TEST).notna().all(axis=None)")
    notebook.works("assert len(train_model(half, TRAIN, epochs=1, **settings)) == 1")
    notebook.works("[np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-6) for new, old in zip(fresh(), before)]")


def test_a_sweep_and_then_the_same_model_again(notebook):
    notebook.interrupted("base = model(**CORRECTIONS)\ntrain_sweep(base, PAIRS[:2], TRAIN, TEST, **long, **settings)")
    notebook.works("again = train_sweep(base, PAIRS[:2], TRAIN, TEST, epochs=2, **settings)")
    notebook.works("new = train_sweep(model(**CORRECTIONS), PAIRS[:2], TRAIN, TEST, epochs=2, **settings)")
    notebook.works("np.testing.assert_allclose(*(one.recommender(1).user_table for one in (again, new)), rtol=1e-4)")


def test_models_that_are_trained_one_after_another_and_then_the_same_again(notebook):
    sweep = "train_sweep({}, PAIRS[1:3], TRAIN, TEST, **{}, **settings)"
    notebook.interrupted(f"dense = model(head=DenseHead())\n{sweep.format('dense', 'long')}")
    notebook.works(f"one = {sweep.format('dense', 'dict(epochs=2)')}")
    notebook.works(f"two = {sweep.format('model(head=DenseHead())', 'dict(epochs=2)')}")
    notebook.works("np.testing.assert_allclose(*(new.recommender(1).ratings(TEST) for new in (one, two)), rtol=1e-4)")


def test_the_labs_training_goes_on_when_the_cell_beside_it_is_stopped(notebook):
    notebook.works("""
def trainer(weights, after_epoch):
    told.wait(60)
    return train_sweep(base, weights, TRAIN, TEST, epochs=1, after_epoch=after_epoch, **settings)

told, lab = threading.Event(), WeightLab(again, trainer)
lab.train(7.0, 1.0)
""")
    notebook.interrupted("print('now', flush=True)\nthreading.Event().wait(60)")
    notebook.works("assert lab.thread.is_alive()\ntold.set()\nlab.thread.join(60)")
    notebook.works("assert lab.widget.training['text'].startswith('Trained 7 : 1'), lab.widget.training")


def test_the_ladder(notebook):
    notebook.works("ladder.train_model = lambda *rows, epochs, **more: train_model(*rows, **more | long)")
    notebook.interrupted("ladder.fit_ladder(TRAIN)")
    notebook.works("ladder.train_model = lambda *rows, epochs, **more: train_model(*rows, epochs=1, **more)")
    notebook.works("ladder.MODELS = {'ranking': ladder.build_ranking}")  # the quickest
    notebook.works("assert list(ladder.fit_ladder(TRAIN)[0])[-1] == 'ranking'")


def test_preparing_in_the_middle_of_a_query(notebook, tmp_path):
    notebook.works(f"""
from recsys_teach.scale import stages
from recsys_teach.scale.preparation import prepare
TRAIN[["user_id", "product_id", "rating"]].fillna(3).to_csv({str(tmp_path / "a.csv")!r}, index=False)
learn = stages.learn

def slowly(con):
    print("now", flush=True)
    con.execute("SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b").fetchall()

stages.learn = slowly
""")
    call = f"prepare({str(tmp_path / 'a.csv')!r}, {str(tmp_path / 'out')!r}, shards=1)"
    for _ in range(8):  # without `interruptible`, DuckDB hears about two of three
        notebook.interrupted(call)
        assert not (tmp_path / "out").exists()
    notebook.works(f"stages.learn = learn\nassert sum({call}['rows'].values()) == len(TRAIN)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "out"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_kernel_that_is_killed_while_it_exports_leaves_no_half_version(notebook, tmp_path):
    """The last test: this kernel doesn't come back."""
    notebook.works(f"base.ratings(TRAIN)\nserver = Server(base, TRAIN)\nexport(server, {str(tmp_path)!r})")
    cell = f"""
import os, signal
from recsys_teach.serving import saved_model as module
module.manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
print("now", flush=True)
export(server, {str(tmp_path)!r})
"""
    notebook.client.execute(cell)
    notebook.manager.provisioner.process.wait(120)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".unfinished-")) == ["1"]
    assert len(list(tmp_path.glob(".unfinished-*/saved_model.pb"))) == 1
