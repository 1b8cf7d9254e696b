"""Topic classification: what a text is about."""

from tasks.applications.shared.classification import Classification

APPLICATION = Classification(name="topics", version=2, preferred="macro_f1")
