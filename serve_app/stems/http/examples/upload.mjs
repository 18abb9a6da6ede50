// Needs Node 20; browsers take the file from an <input>.
import { openAsBlob } from 'node:fs'

const server = 'http://localhost:8000'

async function post(path, body) {
  const response = await fetch(server + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  const result = await response.json()
  if (!response.ok) throw new Error(result.detail)
  return result
}

const file = await openAsBlob('song.mp3')
const { upload_id, part_bytes, parts } = await post('/uploads', {
  filename: 'song.mp3',
  size_bytes: file.size,
})
for (const { number, url } of parts) {
  const body = file.slice((number - 1) * part_bytes, number * part_bytes)
  const response = await fetch(url, { method: 'PUT', body })
  if (!response.ok) throw new Error(`Part ${number}: ${response.status}`)
}
console.log((await post('/separate', { upload_id })).job_id)
