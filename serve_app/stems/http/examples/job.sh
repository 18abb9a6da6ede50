# Returns as soon as the job is over, or after 30 seconds.
curl -sS --fail-with-body 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f?wait=30'
