"""Downloads: data sets that are fetched once, checked by their SHA-256, and kept in a cache."""

import os
from pathlib import Path

import pooch
import requests

from recsys_teach._util import progress_bar

AMAZON_FILE = "amazon_reviews.csv"
AMAZON_URL = "https://raw.githubusercontent.com/imsreecharan/datasets_/refs/heads/master/" + AMAZON_FILE
AMAZON_SHA256 = "896be627fb23a647cadb0d04b2ca577b52045eb9f3f5a2e6102464a698077dff"
AMAZON_BYTES = 903_820
TIMEOUT = 30.0  # seconds without a word from the server


def amazon_sample() -> Path:
    """Return the path of 999 Amazon reviews: in RECSYS_TEACH_DATA, in the cache, or else downloaded into the cache."""
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
    bar = progress_bar(desc=AMAZON_FILE, total=AMAZON_BYTES, unit="B", unit_scale=True)
    download = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT, allow_redirects=False)
    try:
        return Path(pooch.retrieve(AMAZON_URL, f"sha256:{AMAZON_SHA256}", AMAZON_FILE, cache, downloader=download))
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
    except ValueError as error:  # pooch's exception for a wrong hash; it has removed the file
        raise ValueError(
            f"what {AMAZON_URL} sent isn't the Amazon sample (wrong SHA-256): try again, or {remedy}"
        ) from error
    finally:
        bar.close()
        logger.setLevel(level)
