// Needs Node 20; browsers take the file from an <input>.
import { openAsBlob } from 'node:fs'

const form = new FormData()
form.append('file', await openAsBlob('song.mp3'), 'song.mp3')
const response = await fetch('http://localhost:8000/analyze', { method: 'POST', body: form })
const body = await response.json()
if (!response.ok) throw new Error(body.detail)
console.log(body.bpm, body.key)
