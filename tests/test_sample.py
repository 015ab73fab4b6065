"""The Amazon sample comes whole, or not at all, and what is wrong is said in one sentence."""

import functools
import hashlib
import os
import socket
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from recsys_teach import sample
from recsys_teach.data import load_reviews

# The Amazon sample, with a planted file of two reviews in its place and a server on this machine.

SAMPLE = b"reviewerID,asin,overall\nA1,0528881469,5.0\nA2,B2,1.0\n"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache, no folder of the user's, and an address where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(sample, "AMAZON_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/amazon_reviews.csv")
    monkeypatch.delenv("RECSYS_TEACH_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(sample.pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "recsys-teach"


@contextmanager
def serve(monkeypatch, folder, content):
    folder.mkdir()
    (folder / "amazon_reviews.csv").write_bytes(content)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(sample, "AMAZON_URL", f"http://127.0.0.1:{server.server_port}/amazon_reviews.csv")
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def files(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_without_network_and_cache_the_remedy_is_said(cache):
    with pytest.raises(ConnectionError, match=r"can't be downloaded .* name that in RECSYS_TEACH_DATA") as caught:
        load_reviews("amazon")
    assert str(cache) in str(caught.value)
    assert files(cache) == []


def test_a_server_without_the_file_is_no_connection_either(cache, monkeypatch, tmp_path):
    with serve(monkeypatch, tmp_path / "www", SAMPLE):
        monkeypatch.setattr(sample, "AMAZON_URL", sample.AMAZON_URL + ".gone")
        with pytest.raises(ConnectionError, match="HTTPError"):
            load_reviews("amazon")
    assert files(cache) == []


def test_wrong_bytes_from_the_server_are_refused_and_removed(cache, monkeypatch, tmp_path):
    with (
        serve(monkeypatch, tmp_path / "www", SAMPLE),
        pytest.raises(ValueError, match="isn't the Amazon sample") as caught,
    ):
        load_reviews("amazon")
    assert sample.AMAZON_URL in str(caught.value)
    assert files(cache) == []


def test_the_sample_is_downloaded_once(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(sample, "AMAZON_SHA256", hashlib.sha256(SAMPLE).hexdigest())
    with serve(monkeypatch, tmp_path / "www", SAMPLE):
        first = load_reviews("amazon")
    assert first["product_id"].tolist() == ["0528881469", "B2"]
    assert files(cache) == ["amazon_reviews.csv"]
    pd.testing.assert_frame_equal(load_reviews("amazon"), first)  # nobody serves it any more


def test_the_sample_in_a_folder_of_yours_needs_no_network(cache, monkeypatch, tmp_path):
    (tmp_path / "amazon_reviews.csv").write_bytes(SAMPLE)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    monkeypatch.setattr(sample, "AMAZON_SHA256", hashlib.sha256(SAMPLE).hexdigest())
    assert load_reviews("amazon")["rating"].tolist() == [5.0, 1.0]
    assert not cache.exists()


def test_another_file_in_a_folder_of_yours_is_refused(cache, monkeypatch, tmp_path):
    (tmp_path / "amazon_reviews.csv").write_bytes(SAMPLE)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="isn't the Amazon sample") as caught:
        load_reviews("amazon")
    assert str(caught.value).startswith(str(tmp_path / "amazon_reviews.csv"))
    assert hashlib.sha256(SAMPLE).hexdigest()[:12] in str(caught.value)


def test_a_folder_of_yours_without_the_sample_is_passed_over(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    monkeypatch.setattr(sample, "AMAZON_SHA256", hashlib.sha256(SAMPLE).hexdigest())
    with serve(monkeypatch, tmp_path / "www", SAMPLE):
        assert len(load_reviews("amazon")) == 2


@pytest.mark.skipif("RECSYS_TEACH_DATA" not in os.environ, reason="RECSYS_TEACH_DATA names no folder with the sample")
def test_the_amazon_sample_is_the_one_the_course_describes():
    assert (Path(os.environ["RECSYS_TEACH_DATA"]) / sample.AMAZON_FILE).exists()
    reviews = load_reviews("amazon")
    assert (len(reviews), reviews["user_id"].nunique(), reviews["product_id"].nunique()) == (999, 963, 40)
    assert reviews["rating"].value_counts().to_dict() == {5.0: 582, 4.0: 188, 3.0: 94, 2.0: 48, 1.0: 87}
