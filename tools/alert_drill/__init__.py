"""Breaks a service until its alerts fire, and mends it as the runbook says."""
