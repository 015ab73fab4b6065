"""Downloads: data sets that are fetched once, checked by their SHA-256, and kept in a cache."""

import hashlib
import json
import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests

from recsys_teach._util import progress_bar

AMAZON_FILE = "amazon_reviews.csv"
AMAZON_URL = "https://raw.githubusercontent.com/imsreecharan/datasets_/refs/heads/master/" + AMAZON_FILE
AMAZON_SHA256 = "896be627fb23a647cadb0d04b2ca577b52045eb9f3f5a2e6102464a698077dff"
AMAZON_BYTES = 903_820

MOVIELENS_FOLDER = "ml-latest-small"
MOVIELENS_FILE = f"{MOVIELENS_FOLDER}.zip"
MOVIELENS_URL = "https://files.grouplens.org/datasets/movielens/" + MOVIELENS_FILE
MOVIELENS_SHA256 = "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"  # as TensorFlow Datasets pins it
MOVIELENS_BYTES = 978_202
RATINGS_SHA256 = "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646"
MOVIES_SHA256 = "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07"
MOVIELENS_TERMS = (
    "The MovieLens sample is GroupLens' data (University of Minnesota): for research and education, not for commercial "
    "use, not to be passed on under other terms. Cite F. M. Harper and J. A. Konstan, The MovieLens Datasets: History "
    "and Context, 2015, https://doi.org/10.1145/2827872."
)

TIMEOUT = 30.0  # seconds without a word from the server
OR_DOWNLOAD = "or unset RECSYS_TEACH_DATA to download the sample."


@dataclass(frozen=True)
class _Sample:
    """A data set that is one file on a server."""

    title: str  # what the sentences call it
    file: str
    url: str
    sha256: str
    size: int  # bytes
    terms: str = ""  # one line, written to stderr when the file is downloaded


def amazon_sample() -> Path:
    """Return the path of 999 Amazon reviews: in RECSYS_TEACH_DATA, in the cache, or else downloaded into the cache."""
    sample = _Sample("the Amazon sample", AMAZON_FILE, AMAZON_URL, AMAZON_SHA256, AMAZON_BYTES)
    return _local(sample) or _download(sample)


def movielens_sample() -> tuple[bytes, bytes]:
    """Return the contents of MovieLens latest-small's `ratings.csv` and `movies.csv`.

    They come from the zip or the unpacked folder in RECSYS_TEACH_DATA, from the zip in the cache, or else from the zip
    that is downloaded into the cache. Nothing is unpacked on the disk.
    """
    sample = _Sample(
        "the MovieLens sample", MOVIELENS_FILE, MOVIELENS_URL, MOVIELENS_SHA256, MOVIELENS_BYTES, MOVIELENS_TERMS
    )
    path = _local(sample)
    folder = os.environ.get("RECSYS_TEACH_DATA")
    if path is None and folder and (unpacked := Path(folder) / MOVIELENS_FOLDER).is_dir():
        return _movielens_files(unpacked, unpacked)
    path = path or _download(sample)
    with zipfile.ZipFile(path) as archive:
        return _movielens_files(zipfile.Path(archive, f"{MOVIELENS_FOLDER}/"), path)


def find_sample(notebook: Path) -> None:
    """Find or download the data sets that this notebook's code loads; raise what their functions raise."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for name, find in {"amazon": amazon_sample, "movielens": movielens_sample}.items():
        if f'load_reviews("{name}")' in code:
            find()


def _movielens_files(folder: Path | zipfile.Path, place: Path) -> tuple[bytes, bytes]:
    """Read and check both files in `folder`, which is `place`, or inside the zip that `place` is."""
    contents = []
    for name, sha256 in (("ratings.csv", RATINGS_SHA256), ("movies.csv", MOVIES_SHA256)):
        file = folder / name
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} doesn't exist: expected ratings.csv and movies.csv of the MovieLens sample; "
                f"put it there, or remove {place}, {OR_DOWNLOAD}"
            )
        content = file.read_bytes()
        _check(hashlib.sha256(content).hexdigest(), sha256, f"{file} isn't {name} of the MovieLens sample", str(place))
        contents.append(content)
    return contents[0], contents[1]


def _check(found: str, expected: str, what_is_wrong: str, remove: str = "it") -> None:
    """Raise a ValueError if two SHA-256 differ."""
    if found != expected:
        raise ValueError(
            f"{what_is_wrong}: its SHA-256 is {found[:12]}…, expected {expected[:12]}…; remove {remove}, {OR_DOWNLOAD}"
        )


def _local(sample: _Sample) -> Path | None:
    """Return the path of the sample in RECSYS_TEACH_DATA, None if it isn't there; refuse another file of its name."""
    folder = os.environ.get("RECSYS_TEACH_DATA")
    if not folder or not (path := Path(folder) / sample.file).exists():
        return None
    _check(pooch.file_hash(str(path)), sample.sha256, f"{path} isn't {sample.title}")
    return path


def _download(sample: _Sample) -> Path:
    """Return the path of the sample in the cache; download it if it isn't there, or isn't what it should be."""
    cache = pooch.os_cache("recsys-teach")
    remedy = f"put {sample.file} into a folder and name that in RECSYS_TEACH_DATA."
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # the bar is enough
    bar = progress_bar(desc=sample.file, total=sample.size, unit="B", unit_scale=True)
    http = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT, allow_redirects=False)
    downloaded = False

    def download(*request: Any) -> None:  # pooch calls it only if the cache hasn't got the file
        nonlocal downloaded
        http(*request)
        downloaded = True

    try:
        path = Path(pooch.retrieve(sample.url, f"sha256:{sample.sha256}", sample.file, cache, downloader=download))
    except requests.RequestException as error:
        folder = os.environ.get("RECSYS_TEACH_DATA")
        answer = "" if error.response is None else f" {error.response.status_code}"
        raise ConnectionError(
            f"{sample.title} isn't in {folder or cache} and can't be downloaded ({type(error).__name__}{answer}): "
            f"connect to the internet, or {remedy}"
        ) from None  # the chain of its causes fills three screens
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OSError(
            f"{sample.title} can't be kept in {cache} ({reason}): make room for it there, or {remedy}"
        ) from error
    except ValueError as error:  # pooch's exception for a wrong hash; it has removed the file
        raise ValueError(
            f"what {sample.url} sent isn't {sample.title} (wrong SHA-256): try again, or {remedy}"
        ) from error
    finally:
        bar.close()
        logger.setLevel(level)
    if downloaded and sample.terms:
        sys.stderr.write(f"{sample.terms}\n")
    return path
