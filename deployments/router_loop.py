"""In which event loop of a process Serve chooses the replica for a request.

In a proxy, in that of its connections: a second loop, Serve's default, costs a third of
the CPU of a small response. In a replica, in a loop of its own: handles can then be
used in threads, and choices do not wait for the replica's work.
"""

VARIABLE = "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"
# For the environment of Ray, of which the proxies' is a copy, and that of replicas.
OF_PROXIES, OF_REPLICAS = "0", "1"
