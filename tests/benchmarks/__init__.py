"""Benchmarks: ``python -m tests.benchmarks [NAME ...]``. They print figures and assert no time."""
