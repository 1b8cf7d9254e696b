"""The base of every section of a pipeline file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every section: immutable, strictly typed, without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )
