"""`feast apply` without another process."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path


def apply(repository: Path) -> None:
    """Read the repository's modules as the program `feast` does, and register what they define."""
    from feast import FeatureStore
    from feast.repo_operations import apply_total

    sys.path.insert(0, str(repository))
    try:
        with contextlib.chdir(repository):
            apply_total(FeatureStore(str(repository)).config, repository, skip_source_validation=False)
    finally:
        sys.path.remove(str(repository))
        sys.modules.pop("features", None)
