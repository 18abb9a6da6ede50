# Separates a song and downloads its stems. Needs curl.
server=http://localhost:8000

field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d'"' -f4; }

job=$(curl -sS --fail-with-body -F file=@song.mp3 -F stems=vocals,drums "$server/separate" | field job_id)
echo "job $job"

status=pending
while [ "$status" = pending ] || [ "$status" = processing ]; do
    status=$(curl -sS --fail-with-body "$server/job/$job?wait=30" | field status)
done
echo "$status"

for stem in vocals drums; do
    curl -sS --fail -o "$stem.wav" "$server/job/$job/stems/$stem" || exit 1
done
