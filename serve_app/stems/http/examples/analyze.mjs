// Needs Node 20; browsers take the file from an <input>.
import { openAsBlob } from 'node:fs'

const form = new FormData()
form.append('file', await openAsBlob('song.mp3'), 'song.mp3')
const answer = await fetch('http://localhost:8000/analyze', { method: 'POST', body: form })
const told = await answer.json()
if (!answer.ok) throw new Error(told.detail)
console.log(told.bpm, told.key)
