// A long mix, analysed as a job. Needs Node 20; browsers take the file from an <input>.
import { openAsBlob } from 'node:fs'

async function ask(url, options) {
  const answer = await fetch(url, options)
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
  return answer.json()
}

const form = new FormData()
form.append('file', await openAsBlob('song.mp3'), 'song.mp3')
let job = await ask('http://localhost:8000/analyze?async=true', { method: 'POST', body: form })
const url = job.status_url
while (job.status === 'pending' || job.status === 'processing') job = await ask(`${url}?wait=30`)
if (job.status !== 'completed') throw new Error(job.error ?? 'The job was cancelled.')
console.log(job.analysis.bpm, job.analysis.key)
