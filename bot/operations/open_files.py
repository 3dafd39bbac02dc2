"""Open files: how many this process may have, and how many of them a door may take."""

import resource

# Sessions to Latchkey's database, links and calls to Slack: some 100. Each system: up to 50, if all
# its workers are busy. More is for `ulimit -n` to say: from here on `select`, which some driver may
# use, would fail.
ENOUGH = 1024
MOST = 128  # connections; each may hold a body
FEWEST = 4


def raise_limit() -> None:
    """Let this process open enough files, where it was started with fewer and may have more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def for_a_door() -> int:
    """Return how many connections a door may have open. Two leave three quarters of the files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(FEWEST, min(MOST, soft // 8))
