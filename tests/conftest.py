from hypothesis import settings

from tests.support.places import give_away
from tests.support.postgres import cluster

__all__ = ["cluster", "give_away"]

# No deadlines: machines differ. What fails is printed so that it can be played again.
settings.register_profile("usual", deadline=None, database=None, print_blob=True)
settings.register_profile("fuzz", settings.get_profile("usual"), max_examples=2000)
settings.load_profile("usual")
