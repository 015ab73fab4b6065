"""Serving: a trained model as one SavedModel that needs neither this package nor TFRS, and an approximate index."""

from recsys_teach.serving.approximate import ApproximateIndex, recall
from recsys_teach.serving.saved_model import MANIFEST, export, versions
from recsys_teach.serving.server import Server

__all__ = ["MANIFEST", "ApproximateIndex", "Server", "export", "recall", "versions"]
