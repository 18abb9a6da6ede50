// Cancels the job if it still runs, and deletes its files.
const jobId = '0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const answer = await fetch(`http://localhost:8000/job/${jobId}`, { method: 'DELETE' })
const told = await answer.json()
if (!answer.ok) throw new Error(told.detail)
console.log(told.message)
