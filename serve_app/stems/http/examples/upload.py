import os

import httpx

path = "song.mp3"
with httpx.Client(base_url="http://localhost:8000", timeout=60) as server:
    answer = server.post(
        "/uploads", json={"filename": path, "size_bytes": os.path.getsize(path)}
    )
    if answer.is_error:
        raise SystemExit(answer.json()["detail"])
    upload = answer.json()

    with open(path, "rb") as song:
        for part in upload["parts"]:
            block = song.read(upload["part_bytes"])
            httpx.put(part["url"], content=block, timeout=600).raise_for_status()

    answer = server.post("/separate", json={"upload_id": upload["upload_id"]})
    answer.raise_for_status()
    print(answer.json()["job_id"])
