# Separates a song from the web: a JSON body with the same fields, and `url`.
curl -sS --fail-with-body \
    -H 'Content-Type: application/json' \
    -d '{"url": "https://example.com/song.mp3", "stems": ["vocals", "accompaniment"], "format": "flac"}' \
    http://localhost:8000/separate
