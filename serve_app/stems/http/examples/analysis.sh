# The analysis as JSON; with format=png, as a picture.
job=http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f
curl -sS --fail-with-body "$job/analysis"
curl -sS --fail -o song.png "$job/analysis?format=png"
# The loudness and levels of a stem.
curl -sS --fail-with-body "$job/analysis?stem=vocals"
