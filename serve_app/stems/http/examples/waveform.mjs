const job = 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const answer = await fetch(`${job}/waveform?format=peaks&num_peaks=2000`)
const found = await answer.json()
if (!answer.ok) throw new Error(found.detail)
// WaveSurfer.create({ container, url, peaks: found.peaks, duration: found.duration })
console.log(found.peaks[0].length, 'peaks,', found.duration, 'seconds')
