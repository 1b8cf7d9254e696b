"""Settings of the libraries that a command loads."""

from __future__ import annotations

import os

from tasks.training.launchers.base import CPU_SETTINGS

QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
}


def quiet() -> None:
    """Keep libraries from drawing bars and printing hints, and threads from spinning.

    What the user set stays.
    """
    for name, value in (QUIET | CPU_SETTINGS).items():
        os.environ.setdefault(name, value)
