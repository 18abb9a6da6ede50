// Needs Node to write the file; a browser shows the address in an <img>.
import { writeFile } from 'node:fs/promises'

const job = 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const answer = await fetch(`${job}/analysis`)
const found = await answer.json()
if (!answer.ok) throw new Error(found.detail)
console.log(found.bpm, found.key, found.loudness.integrated_lufs, 'LUFS')
// A picture of the song at a glance.
const picture = await fetch(`${job}/analysis?format=png`)
if (!picture.ok) throw new Error((await picture.json()).detail)
await writeFile('song.png', picture.body)
