const job = 'http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f'
const response = await fetch(`${job}/waveform?format=peaks&num_peaks=2000`)
const waveform = await response.json()
if (!response.ok) throw new Error(waveform.detail)
// WaveSurfer.create({ container, url, peaks: waveform.peaks, duration: waveform.duration })
console.log(waveform.peaks[0].length, 'peaks,', waveform.duration, 'seconds')
