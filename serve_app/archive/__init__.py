"""Media fetched by URL, kept on several stores, and streamed."""
