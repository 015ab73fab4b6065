"""The Amazon sample comes whole, or not at all, and what is wrong is said in one sentence."""

import gzip
import hashlib
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from full_disk import full_disk

from recsys_teach import _util
from recsys_teach.files import downloads
from recsys_teach.files.loading import load_reviews

# The Amazon sample, with a planted file of two reviews in its place and a server on this machine.

SAMPLE = b"reviewerID,asin,overall\nA1,0528881469,5.0\nA2,B2,1.0\n"
HALF = len(SAMPLE) // 2


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache, no folder of the user's, and an address where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(downloads, "AMAZON_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/amazon_reviews.csv")
    monkeypatch.setattr(downloads, "AMAZON_SHA256", hashlib.sha256(SAMPLE).hexdigest())
    monkeypatch.delenv("RECSYS_TEACH_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads.pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "recsys-teach"


def send(handler, content=SAMPLE, status=200, **headers):
    """Answer a request, and close the connection; a header that is None is left out."""
    handler.send_response(status)
    for name, value in ({"Content_Length": len(content), "Connection": "close"} | headers).items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def serve(monkeypatch, *answers):
    """A server that gives these answers, functions of the request, and then the sample; yields what was asked for."""
    asked, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.asked = asked
            asked.append(self.path)
            self.close_connection = True
            with suppress(ConnectionError):  # the other side has hung up
                (left.pop(0) if left else send)(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(downloads, "AMAZON_URL", f"http://127.0.0.1:{server.server_port}/amazon_reviews.csv")
        try:
            yield asked
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


OFFLINE = ConnectionError, r"can't be downloaded \(\w+( \d+)?\): connect to the internet, or put"
OTHER = ValueError, r"sent isn't the Amazon sample \(wrong SHA-256\): try again, or put"


def hangs(handler):
    handler.connection.settimeout(20)
    try:
        handler.rfile.read(1)  # nothing comes, until the other side hangs up, or else:
    except TimeoutError:
        handler.asked.append("20 seconds")


def hangs_halfway(handler):
    send(handler, SAMPLE[:HALF], Content_Length=len(SAMPLE))
    hangs(handler)


FAULTS = {
    "stops halfway": (lambda handler: send(handler, SAMPLE[:HALF], Content_Length=len(SAMPLE)), OFFLINE),
    "stops halfway and doesn't say how long it is": (
        lambda handler: send(handler, SAMPLE[:HALF], Content_Length=None),
        OTHER,
    ),
    "says that it is longer": (lambda handler: send(handler, Content_Length=len(SAMPLE) + 9), OFFLINE),
    "says that it is shorter": (lambda handler: send(handler, Content_Length=HALF), OTHER),
    "says that it has a strange length": (lambda handler: send(handler, SAMPLE[:HALF], Content_Length="-9"), OTHER),
    "stops between two chunks": (
        lambda handler: send(
            handler, b"%x\r\n%s\r\n" % (HALF, SAMPLE[:HALF]), Content_Length=None, Transfer_Encoding="chunked"
        ),
        OFFLINE,
    ),
    "sends another file": (lambda handler: send(handler, SAMPLE.replace(b"5.0", b"1.0")), OTHER),
    "sends nothing": (lambda handler: send(handler, b""), OTHER),
    "sends something before": (lambda handler: send(handler, b"\n" + SAMPLE), OTHER),
    "sends a bomb": (lambda handler: send(handler, gzip.compress(bytes(2**24)), Content_Encoding="gzip"), OTHER),
    "says that it is packed": (lambda handler: send(handler, Content_Encoding="gzip"), OFFLINE),
    "doesn't have it": (lambda handler: send(handler, status=404), OFFLINE),
    "is broken": (lambda handler: send(handler, status=500), OFFLINE),
    "sends a part": (lambda handler: send(handler, status=206, content=SAMPLE[:HALF]), OTHER),
    "sends elsewhere": (lambda handler: send(handler, status=302, content=b"", Location="/elsewhere.csv"), OTHER),
    "speaks another language": (lambda handler: handler.wfile.write(b"220 mail ready\r\n"), OFFLINE),
    "hangs up": (lambda handler: None, OFFLINE),
    "hangs": (hangs, OFFLINE),
    "hangs halfway": (hangs_halfway, OFFLINE),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_download_that_fails_is_told_and_leaves_nothing_and_the_next_one_works(cache, monkeypatch, fault):
    answer, (kind, sentence) = FAULTS[fault]
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2 if "hangs" in fault else 60)
    with serve(monkeypatch, answer) as asked:
        with pytest.raises(kind, match=sentence) as caught:
            load_reviews("amazon")
        assert type(caught.value) is kind
        assert "\n" not in str(caught.value)
        assert asked == ["/amazon_reviews.csv"], "no other address is asked"
        assert files(cache) == []
        assert len(load_reviews("amazon")) == 2
    assert files(cache) == ["amazon_reviews.csv"]


def test_a_packed_answer_is_the_same_sample(cache, monkeypatch):
    packed = gzip.compress(SAMPLE)
    with serve(monkeypatch, lambda handler: send(handler, packed, Content_Encoding="gzip")):
        assert load_reviews("amazon")["rating"].tolist() == [5.0, 1.0]
    (path,) = cache.iterdir()
    assert path.read_bytes() == SAMPLE


def test_the_address_is_pinned_and_nobody_can_read_or_change_what_it_sends():
    assert downloads.AMAZON_URL.startswith("https://raw.githubusercontent.com/")
    assert len(downloads.AMAZON_SHA256) == 64


def test_control_c_leaves_nothing_and_the_next_try_works(cache, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with serve(monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(_util.tqdm, "update", interrupted)
            with pytest.raises(KeyboardInterrupt):
                load_reviews("amazon")
        assert files(cache) == []
        assert len(load_reviews("amazon")) == 2


def test_a_damaged_file_in_the_cache_is_never_read(cache, monkeypatch):
    with serve(monkeypatch):
        load_reviews("amazon")
    (cache / "amazon_reviews.csv").write_bytes(SAMPLE.replace(b"5.0", b"1.0"))
    with pytest.raises(ConnectionError, match="can't be downloaded"):
        load_reviews("amazon")
    with serve(monkeypatch) as asked:
        assert load_reviews("amazon")["rating"].tolist() == [5.0, 1.0]
    assert len(asked) == 1
    assert files(cache) == ["amazon_reviews.csv"]


def test_a_full_disk_is_told_and_with_more_room_it_works(cache, monkeypatch):
    with serve(monkeypatch):
        with full_disk(after=HALF), pytest.raises(OSError, match=r"can't be kept in .*cache.recsys-teach \(.+\): make"):
            load_reviews("amazon")
        assert files(cache) == []
        assert len(load_reviews("amazon")) == 2


@pytest.mark.parametrize("what", ["the cache", "its parent"])
def test_a_cache_that_is_a_file_is_told(cache, monkeypatch, what):
    file = cache if what == "the cache" else cache.parent
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    with serve(monkeypatch), pytest.raises(OSError, match=r"can't be kept in .*: make room for it there, or put"):
        load_reviews("amazon")
    assert file.read_text() == "mine"


def test_a_cache_that_cannot_be_written_is_told(cache, monkeypatch):
    cache.mkdir(parents=True)
    cache.chmod(0o555)
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(cache)]
    if mounted := os.access(cache, os.W_OK):  # root may write everywhere, but not to this disk
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no disk can be mounted here")
    try:
        with (
            serve(monkeypatch),
            pytest.raises(OSError, match=r"can't be kept in .*cache.recsys-teach \([\w -]+\): make"),
        ):
            load_reviews("amazon")
    finally:
        if mounted:
            subprocess.run(["umount", str(cache)], check=True)
        cache.chmod(0o755)


ALONE = """
import sys
from pathlib import Path
from recsys_teach.files import downloads
cache, downloads.AMAZON_URL, downloads.AMAZON_SHA256 = sys.argv[1:]
downloads.pooch.os_cache = lambda name: Path(cache)
print(downloads.amazon_sample().read_bytes())
"""


def test_two_processes_at_once_both_get_the_whole_sample(cache, monkeypatch):
    """The server sends the second half to neither of them before it has sent the first half to both."""
    both = threading.Barrier(2)

    def together(handler):
        send(handler, SAMPLE[:HALF], Content_Length=len(SAMPLE))
        both.wait(60)
        handler.wfile.write(SAMPLE[HALF:])

    with serve(monkeypatch, together, together) as asked:
        call = [sys.executable, "-c", ALONE, str(cache), downloads.AMAZON_URL, downloads.AMAZON_SHA256]
        environment = {**os.environ, "PYTHONPATH": str(Path(downloads.__file__).parents[2])}
        runs = [subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [run.communicate()[0] for run in runs]
    assert said == [f"{SAMPLE}\n"] * 2
    assert len(asked) == 2
    assert files(cache) == ["amazon_reviews.csv"]


def test_the_sample_is_downloaded_once(cache, monkeypatch):
    with serve(monkeypatch):
        first = load_reviews("amazon")
    assert first["product_id"].tolist() == ["0528881469", "B2"]
    assert files(cache) == ["amazon_reviews.csv"]
    pd.testing.assert_frame_equal(load_reviews("amazon"), first)  # nobody serves it any more


def test_the_sample_in_a_folder_of_yours_needs_no_network(cache, monkeypatch, tmp_path):
    (tmp_path / "amazon_reviews.csv").write_bytes(SAMPLE)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    assert load_reviews("amazon")["rating"].tolist() == [5.0, 1.0]
    assert not cache.exists()


def test_another_file_in_a_folder_of_yours_is_refused(cache, monkeypatch, tmp_path):
    (tmp_path / "amazon_reviews.csv").write_bytes(SAMPLE[:HALF])
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="isn't the Amazon sample") as caught:
        load_reviews("amazon")
    assert str(caught.value).startswith(str(tmp_path / "amazon_reviews.csv"))
    assert hashlib.sha256(SAMPLE[:HALF]).hexdigest()[:12] in str(caught.value)


def test_a_folder_of_yours_without_the_sample_is_passed_over(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    with serve(monkeypatch):
        assert len(load_reviews("amazon")) == 2


@pytest.mark.skipif("RECSYS_TEACH_DATA" not in os.environ, reason="RECSYS_TEACH_DATA names no folder with the sample")
def test_the_amazon_sample_is_the_one_the_course_describes():
    assert (Path(os.environ["RECSYS_TEACH_DATA"]) / downloads.AMAZON_FILE).exists()
    reviews = load_reviews("amazon")
    assert (len(reviews), reviews["user_id"].nunique(), reviews["product_id"].nunique()) == (999, 963, 40)
    assert reviews["rating"].value_counts().to_dict() == {5.0: 582, 4.0: 188, 3.0: 94, 2.0: 48, 1.0: 87}
