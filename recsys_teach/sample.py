"""Layer 1: the Amazon sample, 999 reviews of Electronics: downloaded once, and looked at before anything reads it."""

import os
from pathlib import Path

import pooch
from requests.exceptions import RequestException
from tqdm.auto import tqdm

AMAZON_FILE = "amazon_reviews.csv"
AMAZON_URL = "https://raw.githubusercontent.com/imsreecharan/datasets_/refs/heads/master/" + AMAZON_FILE
AMAZON_SHA256 = "896be627fb23a647cadb0d04b2ca577b52045eb9f3f5a2e6102464a698077dff"


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
    bar = tqdm(desc=AMAZON_FILE, total=1, unit="B", unit_scale=True, leave=False, delay=2)
    downloader = pooch.HTTPDownloader(timeout=30, progressbar=bar)
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # the bar is enough
    try:
        return Path(pooch.retrieve(AMAZON_URL, f"sha256:{AMAZON_SHA256}", AMAZON_FILE, cache, downloader=downloader))
    except RequestException as error:
        raise ConnectionError(
            f"the Amazon sample isn't in {folder or cache} and can't be downloaded ({type(error).__name__}): "
            f"connect to the internet, or {remedy}"
        ) from error
    except OSError as error:
        raise OSError(
            f"the Amazon sample can't be kept in {cache} ({error}): make room for it there, or {remedy}"
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash; it has removed the file
        raise ValueError(
            f"what {AMAZON_URL} sent isn't the Amazon sample (wrong SHA-256): try again, or {remedy}"
        ) from error
    finally:
        logger.setLevel(level)
        bar.close()
