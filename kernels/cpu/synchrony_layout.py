"""Where the integers that a team shares lie: a cache line or two apart, so that who waits disturbs nobody."""

ARRIVED, ROUND, TICKET, ABORTED, SIZE = 0, 16, 32, 48, 64
