"""Sentiment analysis: how the writer of a text feels."""

from tasks.applications.shared.classification.application import classification

APPLICATION = classification("sentiment", version=3, primary_metric="accuracy")
