import httpx

with open("song.mp3", "rb") as song:
    answer = httpx.post(
        "http://localhost:8000/analyze", files={"file": song}, timeout=300
    )
if answer.is_error:
    raise SystemExit(answer.json()["detail"])
print(answer.json()["bpm"], answer.json()["key"])
