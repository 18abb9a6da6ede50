"""Find the faults of configs and manifests before they are deployed."""
