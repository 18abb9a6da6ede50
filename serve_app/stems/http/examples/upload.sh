# This uploads a file of one part. For larger files, see the other languages.
server=http://localhost:8000

field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d'"' -f4; }

size=$(wc -c < song.mp3 | tr -d ' ')
upload=$(curl -sS --fail-with-body -H 'Content-Type: application/json' \
    -d "{\"filename\": \"song.mp3\", \"size_bytes\": $size}" "$server/uploads")
curl -sS --fail -T song.mp3 "$(echo "$upload" | field url)"
curl -sS --fail-with-body -H 'Content-Type: application/json' \
    -d "{\"upload_id\": \"$(echo "$upload" | field upload_id)\"}" "$server/separate"
