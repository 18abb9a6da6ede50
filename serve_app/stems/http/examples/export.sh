# With -C - an interrupted download resumes where it stopped.
job=http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f
curl -sS --fail -C - -o rekordbox.xml "$job/export?format=rekordbox"
