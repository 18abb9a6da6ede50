"""Access over HTTP: the door, and the routes of API keys."""
