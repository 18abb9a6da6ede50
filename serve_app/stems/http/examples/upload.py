import os

import httpx

path = "song.mp3"
with httpx.Client(base_url="http://localhost:8000", timeout=60) as server:
    response = server.post(
        "/uploads", json={"filename": path, "size_bytes": os.path.getsize(path)}
    )
    if response.is_error:
        raise SystemExit(response.json()["detail"])
    upload = response.json()

    with open(path, "rb") as song:
        for part in upload["parts"]:
            block = song.read(upload["part_bytes"])
            httpx.put(part["url"], content=block, timeout=600).raise_for_status()

    response = server.post("/separate", json={"upload_id": upload["upload_id"]})
    response.raise_for_status()
    print(response.json()["job_id"])
