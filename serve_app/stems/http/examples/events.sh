# Prints the job whenever it changes. A stream may end before the job does: repeat this
# until it is over.
curl -sS --fail-with-body --no-buffer http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f/events
