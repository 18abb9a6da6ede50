# Separates a song from the web: a JSON body with the same fields, and `url`.
import httpx

response = httpx.post(
    "http://localhost:8000/separate",
    json={
        "url": "https://example.com/song.mp3",
        "stems": ["vocals", "accompaniment"],
        "format": "flac",
    },
    timeout=90,
)
if response.is_error:
    raise SystemExit(response.json()["detail"])
print(response.json()["job_id"])
