"""Jobs: what was asked, how far it is, and who owns it."""
