"""What fills the templates of this package, without what only reports of runs need."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def plain_environment() -> Environment:
    """Return an environment that escapes values and refuses unknown names."""
    return Environment(
        loader=PackageLoader("dermapair.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
