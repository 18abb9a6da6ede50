"""Try the service on clusters of three Ray nodes, each in a network of its own."""
