# A song from the web: the same fields as JSON, with "url" in place of the file.
import httpx

answer = httpx.post(
    "http://localhost:8000/separate",
    json={
        "url": "https://example.com/song.mp3",
        "stems": ["vocals", "accompaniment"],
        "format": "flac",
    },
    timeout=90,
)
if answer.is_error:
    raise SystemExit(answer.json()["detail"])
print(answer.json()["job_id"])
