"""What only a pipeline of entities configures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from configs.contract import Contract, Rules, Strict
from configs.schema import Data, Pipeline, Section
from tasks.applications.entities.tags import Scheme


class EntityRuleSeverities(Rules):
    """What happens to rows that break a rule: `refuse` fails the run, `quarantine` sets the row
    aside, `warn` only counts it.
    """

    entity_span: Strict = "quarantine"
    """An entity is outside of the text, empty, or begins or ends with white space."""
    entity_overlap: Strict = "quarantine"
    """Two entities of a row share a character."""
    entity_tags: Strict = "quarantine"
    """A row has more or fewer tags than tokens, or tags that `data.tag_scheme` does not allow."""


class EntityContract(Contract):
    """What valid data is, and what happens to a row that is not."""

    rules: EntityRuleSeverities = EntityRuleSeverities()
    """Each rule's severity."""


class EntityData(Data):
    """Where the labelled text is, and what its columns mean."""

    tag_scheme: Scheme = "auto"
    """How tags mark entities, where rows have tokens with tags: `bio`, `bilou` (also as IOBES), or
    `iob1`, where B only divides adjacent entities of a type. `auto` reads BILOU in rows with a tag
    that only BILOU or IOBES has, else BIO."""


class Tagging(Section):
    """How entities are found in a text."""

    stride: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    """Tokens that two neighbouring windows over a long text share."""


class EntityPipeline(Pipeline):
    """A pipeline that fine-tunes a model for entities."""

    data: EntityData
    """Where the labelled text is."""
    contract: EntityContract = EntityContract()
    """What valid data is."""
    tagging: Tagging = Tagging()
    """How entities are found."""
