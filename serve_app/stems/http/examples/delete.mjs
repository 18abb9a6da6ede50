// Cancels the job if it is still running, and deletes its files.
const jobId = '0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const response = await fetch(`http://localhost:8000/job/${jobId}`, { method: 'DELETE' })
const body = await response.json()
if (!response.ok) throw new Error(body.detail)
console.log(body.message)
