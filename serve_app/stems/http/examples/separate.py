# Separates a song and downloads its stems. Needs httpx: pip install httpx
import httpx

with httpx.Client(base_url="http://localhost:8000", timeout=60) as server:
    with open("song.mp3", "rb") as song:
        response = server.post(
            "/separate", files={"file": song}, data={"stems": "vocals,drums"}
        )
    response.raise_for_status()
    job_id = response.json()["job_id"]

    status = "pending"
    while status in ("pending", "processing"):
        response = server.get(f"/job/{job_id}", params={"wait": 30})
        response.raise_for_status()
        job = response.json()
        status = job["status"]
        print(status, job["progress"], "%")
    if status != "completed":
        raise SystemExit(job.get("error", "The job was cancelled."))

    for name, stem in job["stems"].items():
        with server.stream("GET", stem["download_url"]) as download:
            download.raise_for_status()
            with open(f"{name}.wav", "wb") as file:
                for block in download.iter_bytes():
                    file.write(block)
