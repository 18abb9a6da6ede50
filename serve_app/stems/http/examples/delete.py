# Cancels the job if it still runs, and deletes its files.
import httpx

job_id = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
answer = httpx.delete(f"http://localhost:8000/job/{job_id}")
if answer.is_error:
    raise SystemExit(answer.json()["detail"])
print(answer.json()["message"])
