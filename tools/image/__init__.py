"""Build and try the image of the `Dockerfile` without a container engine."""
