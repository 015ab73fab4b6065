"""Files of reviews: their formats, downloads, and what is refused in which words."""

from recsys_teach.files.amazon import write_amazon
from recsys_teach.files.loading import load_reviews

__all__ = ["load_reviews", "write_amazon"]
