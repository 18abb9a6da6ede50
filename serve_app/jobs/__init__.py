"""The durable queue: jobs, claims, the dispatcher and expiry."""
