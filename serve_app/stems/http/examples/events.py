# Prints the job whenever it changes, until it is over.
import json
import time

import httpx

job_id = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
url = f"http://localhost:8000/job/{job_id}/events"
job = {"status": "pending"}
last_id = ""
while job["status"] in ("pending", "processing"):
    # A stream may end before the job does: come back for the changes since.
    headers = {"Last-Event-ID": last_id}
    with httpx.stream("GET", url, headers=headers, timeout=60) as events:
        events.raise_for_status()
        for line in events.iter_lines():
            if line.startswith("data: "):
                job = json.loads(line.removeprefix("data: "))
                print(job["status"], job["progress"], "%")
            if line.startswith("id: "):
                last_id = line.removeprefix("id: ")
    time.sleep(0.5)
