"""Layer 1: the Amazon sample, 999 reviews of Electronics: downloaded once, and looked at before anything reads it."""

import os
from pathlib import Path

import pooch
import requests

from recsys_teach.bars import progress_bar
from recsys_teach.whole import remove_left_over

AMAZON_FILE = "amazon_reviews.csv"
AMAZON_URL = "https://raw.githubusercontent.com/imsreecharan/datasets_/refs/heads/master/" + AMAZON_FILE
AMAZON_SHA256 = "896be627fb23a647cadb0d04b2ca577b52045eb9f3f5a2e6102464a698077dff"
AMAZON_BYTES = 903_820
TIMEOUT = 30.0  # seconds without a word from the server
CHUNK = 2**14


def amazon_sample() -> Path:
    """The path of the Amazon sample: in RECSYS_TEACH_DATA, else in the cache, else downloaded into the cache."""
    folder = os.environ.get("RECSYS_TEACH_DATA")
    if folder and (local := Path(folder) / AMAZON_FILE).exists():
        found = pooch.file_hash(str(local))
        if found != AMAZON_SHA256:
            raise ValueError(
                f"{local} isn't the Amazon sample: its SHA-256 is {found[:12]}…, expected {AMAZON_SHA256[:12]}…; "
                "remove it, or unset RECSYS_TEACH_DATA to download the sample."
            )
        return local

    cache = pooch.os_cache("recsys-teach")
    remedy = f"put {AMAZON_FILE} into a folder and name that in RECSYS_TEACH_DATA."
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # the bar is enough
    remove_left_over(cache, "tmp*")  # pooch's unfinished files, of processes that were killed
    try:
        return Path(pooch.retrieve(AMAZON_URL, f"sha256:{AMAZON_SHA256}", AMAZON_FILE, cache, downloader=_download))
    except requests.RequestException as error:
        answer = "" if error.response is None else f" {error.response.status_code}"
        raise ConnectionError(
            f"the Amazon sample isn't in {folder or cache} and can't be downloaded ({type(error).__name__}{answer}): "
            f"connect to the internet, or {remedy}"
        ) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OSError(
            f"the Amazon sample can't be kept in {cache} ({reason}): make room for it there, or {remedy}"
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash; it has removed the file
        raise ValueError(
            f"what {AMAZON_URL} sent isn't the Amazon sample (wrong SHA-256): try again, or {remedy}"
        ) from error
    finally:
        logger.setLevel(level)


def _download(url: str, file: str, _: object) -> None:
    """Write what this address sends, and no other, into a file; at most a little more than the sample has."""
    received = bytearray()
    bar = progress_bar(desc=AMAZON_FILE, total=AMAZON_BYTES, unit="B", unit_scale=True)
    with bar, requests.get(url, stream=True, timeout=TIMEOUT, allow_redirects=False) as answer:
        if answer.status_code != requests.codes.ok:
            raise requests.HTTPError(response=answer)
        for chunk in answer.iter_content(CHUNK):
            received += chunk
            bar.update(len(chunk))
            if len(received) > AMAZON_BYTES:
                break  # its hash will be wrong
    os.remove(file)  # pooch has made it for its owner alone
    Path(file).write_bytes(received)
