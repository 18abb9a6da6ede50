"""The routes of webhooks, and the services that they use."""
