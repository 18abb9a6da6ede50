# A song from the web: the same fields as JSON, with "url" in place of the file.
curl -sS --fail-with-body \
    -H 'Content-Type: application/json' \
    -d '{"url": "https://example.com/song.mp3", "stems": ["vocals", "accompaniment"], "format": "flac"}' \
    http://localhost:8000/separate
