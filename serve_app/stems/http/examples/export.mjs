// Needs Node; in a browser, use a link with this URL.
import { writeFile } from 'node:fs/promises'

const job = 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const response = await fetch(`${job}/export?format=rekordbox`)
if (!response.ok) throw new Error((await response.json()).detail)
await writeFile('rekordbox.xml', response.body)
