from tests.support.postgres import cluster as cluster
