// Needs Node to write the file; in a browser, use the URL in an <img>.
import { writeFile } from 'node:fs/promises'

const job = 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const response = await fetch(`${job}/analysis`)
const analysis = await response.json()
if (!response.ok) throw new Error(analysis.detail)
console.log(analysis.bpm, analysis.key, analysis.loudness.integrated_lufs, 'LUFS')
// A picture of the analysis.
const picture = await fetch(`${job}/analysis?format=png`)
if (!picture.ok) throw new Error((await picture.json()).detail)
await writeFile('song.png', picture.body)
