import httpx

job = "http://localhost:8000/job/0f8b6c1e5d3a4f2b9c7e1a2b3c4d5e6f"
with httpx.Client(timeout=120) as client:
    response = client.get(f"{job}/analysis")
    if response.is_error:
        raise SystemExit(response.json()["detail"])
    analysis = response.json()
    print(
        analysis["bpm"],
        analysis["key"],
        analysis["loudness"]["integrated_lufs"],
        "LUFS",
    )
    # A picture of the analysis.
    picture = client.get(f"{job}/analysis", params={"format": "png"})
    picture.raise_for_status()
    with open("song.png", "wb") as file:
        file.write(picture.content)
