from tests.support.postgres import cluster

__all__ = ["cluster"]
