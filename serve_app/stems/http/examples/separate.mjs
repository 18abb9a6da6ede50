// Separates a song and downloads its stems.
// Needs Node 20; browsers take the file from an <input>.
import { openAsBlob } from 'node:fs'
import { writeFile } from 'node:fs/promises'

const server = 'http://localhost:8000'

async function request(url, options) {
  const response = await fetch(url, options)
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  return response
}

const form = new FormData()
form.append('file', await openAsBlob('song.mp3'), 'song.mp3')
form.append('stems', 'vocals,drums')
const accepted = await request(`${server}/separate`, { method: 'POST', body: form })
const { job_id } = await accepted.json()

let job
do {
  job = await (await request(`${server}/job/${job_id}?wait=30`)).json()
  console.log(job.status, job.progress, '%')
} while (job.status === 'pending' || job.status === 'processing')
if (job.status !== 'completed') throw new Error(job.error ?? 'The job was cancelled.')

for (const [name, stem] of Object.entries(job.stems)) {
  const download = await request(new URL(stem.download_url, server))
  await writeFile(`${name}.wav`, download.body)
}
