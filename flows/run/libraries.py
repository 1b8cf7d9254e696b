"""Environment of the libraries that a command loads."""

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
    """Turn off progress bars, hints and spinning threads, unless the user has set a variable."""
    for name, value in (QUIET | CPU_SETTINGS).items():
        os.environ.setdefault(name, value)
