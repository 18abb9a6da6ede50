# In the format of audiowaveform: 8 bits, 50 pixels a second.
job=http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f
curl -sS --fail -o song.dat "$job/waveform?format=dat&pixels_per_second=50&bits=8"
# For wavesurfer.js, with separate low, mid and high bands.
curl -sS --fail -o song.json "$job/waveform?format=peaks&num_peaks=2000&bands=3"
