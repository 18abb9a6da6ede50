# Cancels the job if it is still running, and deletes its files.
curl -sS --fail-with-body -X DELETE http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f
