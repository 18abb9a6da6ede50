# With -C - an interrupted download resumes where it stopped.
curl -sS --fail -C - -o vocals.wav http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f/stems/vocals
