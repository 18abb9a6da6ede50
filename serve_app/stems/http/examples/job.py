# Returns as soon as the job is over, or after 30 seconds.
import httpx

job_id = "0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
response = httpx.get(
    f"http://localhost:8000/job/{job_id}", params={"wait": 30}, timeout=60
)
if response.is_error:
    raise SystemExit(response.json()["detail"])
job = response.json()
print(job["status"], job["progress"], "%")
for name, stem in job.get("stems", {}).items():
    print(name, stem["size"], stem["download_url"])
