import httpx

job = "http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
query = {"format": "rekordbox"}
with httpx.stream("GET", f"{job}/export", params=query, timeout=300) as export:
    export.raise_for_status()
    with open("rekordbox.xml", "wb") as file:
        for block in export.iter_bytes():
            file.write(block)
