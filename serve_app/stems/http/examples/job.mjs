// Returns as soon as the job is over, or after 30 seconds.
const jobId = '0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const response = await fetch(`http://localhost:8000/job/${jobId}?wait=30`)
const job = await response.json()
if (!response.ok) throw new Error(job.detail)
console.log(job.status, job.progress, '%')
for (const [name, stem] of Object.entries(job.stems ?? {})) {
  console.log(name, stem.size, stem.download_url)
}
