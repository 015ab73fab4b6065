"""The Amazon and the MovieLens sample come whole, or not at all, and what is wrong is said in one sentence."""

import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from full_disk import full_disk

from recsys_teach import _util
from recsys_teach.files import downloads
from recsys_teach.files.loading import load_reviews

# The Amazon sample, with a planted file of two reviews in its place and a server on this machine.

SAMPLE = b"reviewerID,asin,overall\nA1,0528881469,5.0\nA2,B2,1.0\n"
HALF = len(SAMPLE) // 2


def move(monkeypatch, port):
    """Look for both samples on this machine."""
    monkeypatch.setattr(downloads, "AMAZON_URL", f"http://127.0.0.1:{port}/amazon_reviews.csv")
    monkeypatch.setattr(downloads, "MOVIELENS_URL", f"http://127.0.0.1:{port}/ml-latest-small.zip")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache, no folder of the user's, and an address where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        move(monkeypatch, closed.getsockname()[1])
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
        move(monkeypatch, server.server_port)
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


# The MovieLens sample, with three planted ratings in its place.

RATINGS = b"userId,movieId,rating,timestamp\n7,10,4.0,964982703\n7,2,0.5,964981247\n8,10,3.5,1537799250\n"
MOVIES = b'movieId,title,genres\n2,"Kid, The (1921)",(no genres listed)\n10,NA,Comedy|Crime\n11,Heat,Crime\n'
FILMS = pd.DataFrame(
    {
        "user_id": ["7", "7", "8"],
        "product_id": ["10", "2", "10"],
        "rating": [4.0, 0.5, 3.5],
        "timestamp": pd.to_datetime(["2000-07-30 18:45:03", "2000-07-30 18:20:47", "2018-09-24 14:27:30"], utc=True),
        "title": ["NA", "Kid, The (1921)", "NA"],
        "category": ["Comedy", "", "Comedy"],
        "categories": ["Comedy|Crime", "", "Comedy|Crime"],
    }
)


def packed(contents):
    """A zip of these files, in a folder as in MovieLens' own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(f"ml-latest-small/{name}"), content)
    return packed.getvalue()


def unpack(contents, folder):
    """The same files in the same folder, without the zip."""
    (folder / "ml-latest-small").mkdir()
    for name, content in contents.items():
        (folder / "ml-latest-small" / name).write_bytes(content)


BOTH = {"ratings.csv": RATINGS, "movies.csv": MOVIES}
ZIP = packed({"README.txt": b"terms", **BOTH})


@pytest.fixture
def films(cache, monkeypatch):
    """The hashes of the planted files, and an empty cache."""
    for name, content in (("MOVIELENS", ZIP), ("RATINGS", RATINGS), ("MOVIES", MOVIES)):
        monkeypatch.setattr(downloads, f"{name}_SHA256", hashlib.sha256(content).hexdigest())
    return cache


def send_zip(handler):
    send(handler, ZIP)


def assert_films(found):
    pd.testing.assert_frame_equal(found, FILMS, check_dtype=False)


def test_movielens_is_downloaded_once_and_its_terms_are_said_then(films, monkeypatch, capsys):
    with serve(monkeypatch, send_zip) as asked:
        assert_films(load_reviews("movielens"))
    assert asked == ["/ml-latest-small.zip"]
    assert capsys.readouterr() == ("", f"{downloads.MOVIELENS_TERMS}\n")
    assert "\n" not in downloads.MOVIELENS_TERMS
    assert files(films) == ["ml-latest-small.zip"]
    assert_films(load_reviews("movielens"))  # nobody serves it any more
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("form", ["zip", "unpacked"])
def test_movielens_in_a_folder_of_yours_needs_no_network(films, monkeypatch, tmp_path, capsys, form):
    if form == "zip":
        (tmp_path / "ml-latest-small.zip").write_bytes(ZIP)
    else:
        unpack(BOTH, tmp_path)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    assert_films(load_reviews("movielens"))
    assert not films.exists()
    assert capsys.readouterr() == ("", "")


def test_a_folder_of_yours_without_movielens_is_passed_over(films, monkeypatch, tmp_path):
    (tmp_path / "amazon_reviews.csv").write_bytes(SAMPLE)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    with serve(monkeypatch, send_zip):
        assert_films(load_reviews("movielens"))


def test_another_zip_in_a_folder_of_yours_is_refused(films, monkeypatch, tmp_path):
    (tmp_path / "ml-latest-small.zip").write_bytes(ZIP[:-1])
    unpack(BOTH, tmp_path)  # it isn't looked at: which one was meant?
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"isn't the MovieLens sample: .*; remove it, or unset") as caught:
        load_reviews("movielens")
    assert str(caught.value).startswith(str(tmp_path / "ml-latest-small.zip"))
    for content in (ZIP[:-1], ZIP):
        assert hashlib.sha256(content).hexdigest()[:12] in str(caught.value)


@pytest.mark.parametrize("form", ["zip", "unpacked"])
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("fault", ["another", "missing"])
def test_another_or_a_missing_file_of_movielens_is_named(films, monkeypatch, tmp_path, form, name, fault):
    contents = BOTH | {name: b"x" + BOTH[name]}
    if fault == "missing":
        del contents[name]
    if form == "zip":
        place = tmp_path / "ml-latest-small.zip"
        place.write_bytes(packed(contents))
        monkeypatch.setattr(downloads, "MOVIELENS_SHA256", hashlib.sha256(place.read_bytes()).hexdigest())
    else:
        place = tmp_path / "ml-latest-small"
        unpack(contents, tmp_path)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    kind = ValueError if fault == "another" else FileNotFoundError
    with pytest.raises(kind, match=r"remove .*, or unset RECSYS_TEACH_DATA to download the sample\.$") as caught:
        load_reviews("movielens")
    said = str(caught.value)
    assert type(caught.value) is kind
    assert said.startswith(str(place))
    assert said.split()[0].endswith(f"ml-latest-small/{name}")
    assert f"remove {place}," in said
    assert "\n" not in said
    if fault == "another":
        for content in (b"x" + BOTH[name], BOTH[name]):
            assert hashlib.sha256(content).hexdigest()[:12] in said
    assert not films.exists()


def test_without_network_movielens_says_the_remedy_and_no_terms(films, capsys):
    remedy = r"can't be downloaded \(\w+\): connect .* put ml-latest-small.zip into a folder .* RECSYS_TEACH_DATA"
    with pytest.raises(ConnectionError, match=f"the MovieLens sample isn't in .* and {remedy}") as caught:
        load_reviews("movielens")
    assert str(films) in str(caught.value)
    assert files(films) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", [ZIP[:-1], b"", MOVIES], ids=["cut", "empty", "another"])
def test_another_file_from_the_server_is_not_movielens(films, monkeypatch, capsys, content):
    with serve(monkeypatch, lambda handler: send(handler, content), send_zip):
        with pytest.raises(ValueError, match=r"sent isn't the MovieLens sample \(wrong SHA-256\): try again, or put"):
            load_reviews("movielens")
        assert files(films) == []
        assert capsys.readouterr().err == ""
        assert_films(load_reviews("movielens"))


def test_a_damaged_zip_in_the_cache_is_never_read(films, monkeypatch):
    films.mkdir(parents=True)
    (films / "ml-latest-small.zip").write_bytes(ZIP[:-1])
    with serve(monkeypatch, send_zip) as asked:
        assert_films(load_reviews("movielens"))
    assert len(asked) == 1
    assert (films / "ml-latest-small.zip").read_bytes() == ZIP


def test_a_full_disk_keeps_no_half_of_movielens(films, monkeypatch, capsys):
    with serve(monkeypatch, send_zip, send_zip):
        with (
            full_disk(after=len(ZIP) // 2),
            pytest.raises(OSError, match=r"the MovieLens sample can't be kept in .*cache.recsys-teach \(.+\): make"),
        ):
            load_reviews("movielens")
        assert files(films) == []
        assert capsys.readouterr().err == ""
        assert_films(load_reviews("movielens"))


def test_columns_of_movielens_can_be_named(films, monkeypatch, tmp_path):
    unpack(BOTH, tmp_path)
    monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    found = load_reviews("movielens", columns={"title": "summary"})
    assert found["summary"].tolist() == FILMS["title"].tolist()
    assert "title" not in found
    with pytest.raises(ValueError, match=r"the MovieLens sample has no column 'tag' to rename \(columns found: userId"):
        load_reviews("movielens", columns={"tag": "summary"})


def test_the_address_of_movielens_is_its_own():
    assert downloads.MOVIELENS_URL.startswith("https://files.grouplens.org/")


FOLDER = Path(os.environ.get("RECSYS_TEACH_DATA", ""), "ml-latest-small").absolute()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="RECSYS_TEACH_DATA names no folder with MovieLens, unpacked")
@pytest.mark.parametrize("form", ["zip", "unpacked"])
def test_movielens_is_the_one_that_grouplens_describes(monkeypatch, tmp_path, form):
    """Its README: 100,836 ratings by 610 users, March 29, 1996 to September 24, 2018, 20 or more of each user."""
    if form == "zip":
        zipped = packed({name: (FOLDER / name).read_bytes() for name in BOTH})
        (tmp_path / "ml-latest-small.zip").write_bytes(zipped)
        monkeypatch.setattr(downloads, "MOVIELENS_SHA256", hashlib.sha256(zipped).hexdigest())
        monkeypatch.setenv("RECSYS_TEACH_DATA", str(tmp_path))
    reviews = load_reviews("movielens")
    assert list(reviews) == list(FILMS)
    assert (len(reviews), reviews["user_id"].nunique(), reviews["product_id"].nunique()) == (100_836, 610, 9_724)
    assert reviews["user_id"].value_counts().min() == 20
    assert reviews.iloc[0].to_dict() == {
        "user_id": "1",
        "product_id": "1",
        "rating": 4.0,
        "timestamp": pd.Timestamp("2000-07-30 18:45:03", tz="UTC"),
        "title": "Toy Story (1995)",
        "category": "Adventure",
        "categories": "Adventure|Animation|Children|Comedy|Fantasy",
    }
    assert set(reviews["rating"]) == {half / 2 for half in range(1, 11)}
    assert [f"{time:%Y-%m-%d}" for time in (reviews["timestamp"].min(), reviews["timestamp"].max())] == [
        "1996-03-29",
        "2018-09-24",
    ]
    assert (reviews["title"] != "").all()
    assert (reviews["category"] == reviews["categories"].str.split("|").str[0]).all()
    without = reviews[reviews["categories"] == ""]
    assert (len(without), without["product_id"].nunique()) == (47, 34)


@pytest.mark.parametrize(("code", "wanted"), [("", []), ("movielens", ["movielens"]), ("amazon", ["amazon"])])
def test_a_notebook_needs_the_samples_that_its_code_loads(code, wanted, monkeypatch, tmp_path):
    found = []
    for name in ("amazon", "movielens"):
        monkeypatch.setattr(downloads, f"{name}_sample", lambda name=name: found.append(name))
    cells = [nbformat.v4.new_markdown_cell('Try load_reviews("amazon") and load_reviews("movielens").')]
    cells += [nbformat.v4.new_code_cell(f'reviews = load_reviews("{code}")')] if code else []
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "06_movielens.ipynb")
    downloads.find_sample(tmp_path / "06_movielens.ipynb")
    assert found == wanted
