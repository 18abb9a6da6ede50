import struct

import httpx

job = "http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
query: dict[str, str | int] = {"format": "dat", "pixels_per_second": 50, "bits": 8}
response = httpx.get(f"{job}/waveform", params=query, timeout=120)
if response.is_error:
    raise SystemExit(response.json()["detail"])
with open("song.dat", "wb") as file:
    file.write(response.content)
# audiowaveform's header; the lowest and highest sample of each pixel follow.
_, _, rate, samples, pixels, _ = struct.unpack_from("<iIiiIi", response.content)
print(pixels, "pixels,", rate / samples, "a second")
