"""The record of a run with everything in it."""

from __future__ import annotations

from typing import Any

LEAST: dict[str, Any] = {"pipeline": "reviews", "verdict": "promoted", "metrics": {}}


def gate(text: str = "text") -> dict[str, Any]:
    """What the gate keeps of a comparison, the same text wherever text may stand."""
    part = {"rows": 400, "challenger": 0.9, "champion": 0.92, "drop": 0.02}
    return {
        "verdict": text,
        "alias": "champion",
        "reference": text,
        "rows": 1200,
        "metrics": [
            {
                "metric": "accuracy",
                "challenger": 0.91,
                "champion": 0.9,
                "gain": 0.01,
                "low": -0.005,
                "high": 0.025,
            }
        ],
        "mcnemar": 0.04,
        "slices": [
            part | {"name": f"{text}: short", "judged": True, "failed": False},
            part | {"name": f"{text}: long", "judged": True, "failed": True},
            part | {"name": f"{text}: middle", "rows": 9, "judged": False, "failed": False},
        ],
        "checks": [
            {"name": text, "passed": True, "note": text},
            {"name": f"{text} again", "passed": False, "note": text},
        ],
        "cost": {"latency_ms": 3.21, "megabytes": 91.5},
    }


def changes(text: str = "text") -> dict[str, Any]:
    """What differs from the previous run, the same text wherever text may stand."""
    return {
        "model": text,
        "time": "2026-11-23T10:59:13+00:00",
        "rows": {"training": {"added": 12, "moved": 1, "gone": 3}},
        "data": {"rows.train": (3990, 4000)},
        "labels": {text: (1990, 1995), f"{text} new": (None, 5), f"{text} gone": (7, None)},
        "config": {text: (text, text)},
        "metrics": {"accuracy": (0.9, 0.91), "rows": (1199.0, 1200.0)},
        "same_test_rows": False,
        "drift": text,
    }


def run_record(text: str = "text") -> dict[str, Any]:
    """A record for the report of a run, the same text wherever text may stand."""
    checks = [{"step": 10 * n, "epoch": n, "loss": 0.6 / n, "improved": n < 3} for n in (1, 2, 3)]
    stage = {"reused": False, "seconds": 61.0, "computed_in": 61.0, "note": text}
    return {
        "pipeline": text,
        "application": text,
        "created": text,
        "model": text,
        "alias": text,
        "verdict": text,
        "decision": "Promoted",
        "promoted": True,
        "headline": "accuracy",
        "metrics": {"accuracy": 0.91, "log_loss": 0.25, "rows": 1200.0},
        "interval": [0.89, 0.93],
        "confidence": 0.95,
        "baseline": {"name": text, "accuracy": 0.5, "log_loss": 0.69},
        "hints": [text],
        "details": [{text: text, "f1": 0.9, "support": 600}],
        "matrix": {"labels": [text, f"{text} 2"], "counts": [[590, 10], [98, 502]]},
        "mistakes": [
            {"file": text, "row": 17, "label": text, "predicted": [text, text], "score": 0.987},
            {"file": text, "row": 18, "label": text, "predicted": [], "score": 0.9},
        ],
        "rows": {"train": 4000, "validation": 600, "test": 1200},
        "gate": gate(text),
        "history": {
            "steps": [[step, 0.7 / step] for step in range(1, 31)],
            "validation": [check | {"accuracy": 0.8 + 0.01 * check["epoch"]} for check in checks],
        },
        "contract": {
            "verdict": text,
            "rows": {"in": 5810, "kept": 5800, "quarantined": 10, "repaired": 2, "redacted": 0},
            "found": [{"name": text, "severity": text, "found": 10}],
            "drift": text,
        },
        "data_page": "run.contract.html",
        "index": "index.html",
        "changes": changes(text),
        "stages": [stage | {"name": text}, stage | {"name": text, "reused": True}],
        "cost": {
            "compared": [
                {"name": text, "unit": "seconds", "forecast": 55.0, "measured": 61.5},
                {"name": text, "unit": "bytes", "forecast": None, "measured": 2**30},
            ],
            "latency_ms": 3.21,
            "bytes": 91 * 2**20,
            "device": text,
        },
        "origin": {text: text},
        "links": {text: "http://127.0.0.1:5000/#/experiments/1/runs/a"},
    }
