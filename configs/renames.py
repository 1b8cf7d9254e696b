"""Old names of keys and values of pipeline files, with the new ones for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from configs.language import english

KEYS: Final[Mapping[str, str]] = {
    "contract.characters": "contract.min_characters` and `contract.max_characters",
    "contract.drift.confidence": "contract.drift.confidence_level",
    "contract.drift.max_effect": "contract.drift.max_effect_size",
    "contract.drift.predictions": "contract.drift.num_predictions",
    "contract.near_threshold": "contract.near_duplicate_threshold",
    "contract.sample": "contract.sample_size",
    "data.group": "data.group_column",
    "data.separator": "data.label_separator",
    "evaluation.confidence": "evaluation.confidence_level",
    "evaluation.headline": "evaluation.primary_metric",
    "evaluation.mistakes": "evaluation.num_mistakes",
    "gate.confidence": "gate.confidence_level",
    "gate.floors": "gate.thresholds",
    "model.attention": "model.attn_implementation",
    "model.decoder.vocabulary": "model.decoder.vocab_size",
    "model.scratch.heads": "model.scratch.num_heads",
    "model.scratch.layers": "model.scratch.num_layers",
    "model.scratch.vocabulary": "model.scratch.vocab_size",
    "schedule.when": "schedule.retrain_when",
    "training.adapter.targets": "training.adapter.target_modules",
    "training.checkpoint_steps": "training.save_steps",
    "training.early_stopping": "training.early_stopping_patience",
    "training.ema": "training.ema_decay",
    "training.lr_scheduler.warmup": "training.lr_scheduler.warmup_ratio",
    "training.optimizer.layer_decay": "training.optimizer.layerwise_lr_decay",
    "training.schedule": "training.lr_scheduler",
    "training.seed": "seed",
}
"""New dotted keys by old ones."""

VALUES: Final[Mapping[tuple[str, object], str]] = {
    ("gate.rule", "surely_better"): "superior",
    ("gate.rule", "not_worse"): "non_inferior",
}
"""New values by dotted key and old value."""


def renamed(key: str, value: object) -> dict[str, str]:
    """Messages for a key with an old name or value, and for old names below it, by dotted key."""
    if isinstance(value, str) and (key, value) in VALUES:
        return {key: english("`{value}` is now `{new}`", value=value, new=VALUES[key, value])}
    if key not in KEYS:
        return {}
    below = value if isinstance(value, dict) else {}
    moved = {f"{key}.{name}": KEYS.get(f"{KEYS[key]}.{name}") for name in below}
    news = {key: KEYS[key]} | {old: new for old, new in moved.items() if new}
    return {old: english("`{old}` is now `{new}`", old=old, new=new) for old, new in news.items()}
