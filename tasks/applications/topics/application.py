"""Topic classification: what a text is about."""

from tasks.applications.shared.classification.application import classification

APPLICATION = classification("topics", version=3, primary_metric="macro_f1")
