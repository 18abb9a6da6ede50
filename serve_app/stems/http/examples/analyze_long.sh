# A long mix, analysed as a job. Needs curl.
server=http://localhost:8000

field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d'"' -f4; }

url=$(curl -sS --fail-with-body -F file=@song.mp3 "$server/analyze?async=true" | field status_url)

status=pending
while [ "$status" = pending ] || [ "$status" = processing ]; do
    answer=$(curl -sS --fail-with-body "$url?wait=30")
    status=$(echo "$answer" | field status)
done
echo "$answer"
