"""What every test may use, and what none may: the network and the clock."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["LANGUAGE"] = "en"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and every command that a test interrupts
    # would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from configs.schema import Model
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel

hypothesis.settings.register_profile(
    "onestep", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("onestep")


@pytest.fixture(scope="session")
def starter() -> InitialModel:
    """The small English BERT that installs with onestep."""
    return initial_model.find(Model(), "topics")
