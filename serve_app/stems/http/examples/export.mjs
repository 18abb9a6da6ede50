// Needs Node; a browser saves the address of a link by itself.
import { writeFile } from 'node:fs/promises'

const job = 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const answer = await fetch(`${job}/export?format=rekordbox`)
if (!answer.ok) throw new Error((await answer.json()).detail)
await writeFile('rekordbox.xml', answer.body)
