"""Tasks that arrive over a queue of SQS."""
