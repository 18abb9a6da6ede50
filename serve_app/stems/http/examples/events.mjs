// Every browser has EventSource; Node has it with --experimental-eventsource.
const jobId = '0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const events = new EventSource(`http://localhost:8000/job/${jobId}/events`)
events.onerror = () => {
  // It reconnects by itself, unless the job does not exist.
  if (events.readyState === EventSource.CLOSED) throw new Error('There is no such job.')
}
events.onmessage = ({ data }) => {
  const job = JSON.parse(data)
  console.log(job.status, job.progress, '%')
  if (job.status !== 'pending' && job.status !== 'processing') events.close()
}
