import httpx

with open("song.mp3", "rb") as song:
    response = httpx.post(
        "http://localhost:8000/analyze", files={"file": song}, timeout=300
    )
if response.is_error:
    raise SystemExit(response.json()["detail"])
print(response.json()["bpm"], response.json()["key"])
