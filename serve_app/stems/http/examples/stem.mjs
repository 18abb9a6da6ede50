// Needs Node; a browser can play the URL: new Audio(url).play()
import { writeFile } from 'node:fs/promises'

const jobId = '0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const url = `http://localhost:8000/job/${jobId}/stems/vocals`
const download = await fetch(url)
if (!download.ok) throw new Error((await download.json()).detail)
await writeFile('vocals.wav', download.body)
