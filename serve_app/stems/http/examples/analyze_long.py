# A long mix, analysed as a job. Needs httpx: pip install httpx
import httpx

with httpx.Client(base_url="http://localhost:8000", timeout=60) as server:
    with open("song.mp3", "rb") as song:
        answer = server.post("/analyze", params={"async": True}, files={"file": song})
    answer.raise_for_status()
    job = answer.json()

    while job["status"] in ("pending", "processing"):
        answer = server.get(job["status_url"], params={"wait": 30})
        answer.raise_for_status()
        job = answer.json()
    if job["status"] != "completed":
        raise SystemExit(job.get("error", "The job was cancelled."))
    print(job["analysis"]["bpm"], job["analysis"]["key"])
