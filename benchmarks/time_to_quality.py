"""Seconds until our retrieval model is as good as LightFM, beside LightFM's and ALS's: `python benchmarks/time_to_quality.py`.
"""
