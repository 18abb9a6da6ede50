# Cancels the job if it is still running, and deletes its files.
import httpx

job_id = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
response = httpx.delete(f"http://localhost:8000/job/{job_id}")
if response.is_error:
    raise SystemExit(response.json()["detail"])
print(response.json()["message"])
