"""What the package index shows: the project's links, and the README with absolute ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"\]\((?!https?://|mailto:|#)(?P<path>[^)]+)\)")


class ProjectLinks(MetadataHookInterface):
    """Derives every link from ``[tool.hatch.metadata.hooks.custom]``, the one place to edit.

    The package index serves the README from a page of its own, where a relative link leads
    nowhere.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        repository = self.config["repository"]
        branch = f"{repository}/blob/main"
        metadata["urls"] = {
            "Documentation": self.config["documentation"],
            "Repository": repository,
            "Issues": f"{repository}/issues",
            "Changelog": f"{branch}/CHANGELOG.md",
            "Security": f"{branch}/SECURITY.md",
        }
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _RELATIVE_LINK.sub(rf"]({branch}/\g<path>)", readme),
        }
