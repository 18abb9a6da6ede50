curl -sS --fail-with-body -F file=@song.mp3 http://localhost:8000/analyze
