"""How many files and sockets a process may have open."""

import resource

WANTED = 16_384


def allow_open_files(wanted: int = WANTED) -> None:
    """Raise this process's own limit to `wanted`, or as far as it may: systems begin with as few as 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        at_most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, at_most), hard))
