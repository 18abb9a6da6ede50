// Separates a song from the web: a JSON body with the same fields, and `url`.
const response = await fetch('http://localhost:8000/separate', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    url: 'https://example.com/song.mp3',
    stems: ['vocals', 'accompaniment'],
    format: 'flac',
  }),
})
const body = await response.json()
if (!response.ok) throw new Error(body.detail)
console.log(body.job_id)
