"""What the parts of a site's description are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
# Blanks only between other characters; quotes would break the path to a load's power in a JSON column.
Identity = Annotated[
    str,
    Field(
        min_length=1, max_length=255, pattern=r"^[^/:\"\\\s\x00-\x1f\x7f]+(?: +[^/:\"\\\s\x00-\x1f\x7f]+)*$"
    ),
]
# Never the secret itself: a site is exported and backed up.
SecretPlace = Annotated[str, Field(pattern=r"^(env:DEVICE_[A-Z0-9_]+|file:[A-Za-z0-9_-][A-Za-z0-9_.-]*)$")]
RelayRef = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[1-9][0-9]*$")]
Phase = Literal["L1", "L2", "L3"]
Phases = Annotated[list[Phase], Field(min_length=1, max_length=3)]
Watts = Annotated[float, Field(gt=0, le=1_000_000)]
Amps = Annotated[float, Field(ge=0, le=1000)]
Priority = Annotated[int, Field(ge=0, le=9)]


class SiteModel(BaseModel):
    """strict: "230", true and 1.0 are no whole numbers; a wrong type is refused rather than read as meant."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
