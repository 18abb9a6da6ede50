// A song from the web: the same fields as JSON, with "url" in place of the file.
const answer = await fetch('http://localhost:8000/separate', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    url: 'https://example.com/song.mp3',
    stems: ['vocals', 'accompaniment'],
    format: 'flac',
  }),
})
const told = await answer.json()
if (!answer.ok) throw new Error(told.detail)
console.log(told.job_id)
