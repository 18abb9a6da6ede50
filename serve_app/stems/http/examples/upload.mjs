// Needs Node 20; browsers take the file from an <input>.
import { openAsBlob } from 'node:fs'

const server = 'http://localhost:8000'

async function post(path, body) {
  const answer = await fetch(server + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  const told = await answer.json()
  if (!answer.ok) throw new Error(told.detail)
  return told
}

const file = await openAsBlob('song.mp3')
const { upload_id, part_bytes, parts } = await post('/uploads', {
  filename: 'song.mp3',
  size_bytes: file.size,
})
for (const { number, url } of parts) {
  const body = file.slice((number - 1) * part_bytes, number * part_bytes)
  const answer = await fetch(url, { method: 'PUT', body })
  if (!answer.ok) throw new Error(`Part ${number}: ${answer.status}`)
}
console.log((await post('/separate', { upload_id })).job_id)
