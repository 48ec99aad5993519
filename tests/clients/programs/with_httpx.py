"""httpx; its own limit of 5 seconds is too short for a shot."""

import sys
from pathlib import Path

import httpx

url, photo, password, out, *texts = sys.argv[1:]
print("httpx", httpx.__version__, flush=True)
with open(photo, "rb") as file:
    answer = httpx.post(
        url,
        data=dict([text.split("=", 1) for text in texts]) | {"password": password},
        files={"fileToUpload": ("IMG_0003.JPG", file, "image/jpeg")},
        timeout=60,
    )
Path(out).write_bytes(answer.content)
print(answer.status_code, answer.headers["content-type"])
