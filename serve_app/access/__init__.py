"""Who may use the service: API keys, tokens, tenants and scopes."""
