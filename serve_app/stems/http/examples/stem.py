import httpx

job_id = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
url = f"http://localhost:8000/job/{job_id}/stems/vocals"
with httpx.stream("GET", url, timeout=60) as download:
    download.raise_for_status()
    with open("vocals.wav", "wb") as file:
        for block in download.iter_bytes():
            file.write(block)
