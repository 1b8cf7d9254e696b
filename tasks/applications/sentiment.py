"""Sentiment analysis: how the writer of a text feels."""

from tasks.applications.shared.classification import Classification

APPLICATION = Classification(name="sentiment", version=2, preferred="accuracy")
