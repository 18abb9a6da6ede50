# Requests a webhook when the job ends. `stemserve listen` runs a receiver to test with.
curl -sS --fail-with-body -F file=@song.mp3 \
    -F webhook_url=http://127.0.0.1:8787/ -F webhook_events=job.completed,job.failed \
    http://localhost:8000/separate
