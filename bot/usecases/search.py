"""What can be had, kept ready to be searched."""

from bot.runtime.services import Services

__all__ = ["prepare"]


def prepare(services: Services) -> None:
    """Read what is new of what the systems have: a search would take its time for it."""
    flows = services.company().flows.values()
    services.companies.catalogues.prepare(services.database, flows)
