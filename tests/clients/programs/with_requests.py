"""requests."""

import sys
from pathlib import Path

import requests

url, photo, password, out, *texts = sys.argv[1:]
print("requests", requests.__version__, flush=True)
with open(photo, "rb") as file:
    answer = requests.post(
        url,
        data=dict([text.split("=", 1) for text in texts]) | {"password": password},
        files={"fileToUpload": ("IMG_0003.JPG", file, "image/jpeg")},
    )
Path(out).write_bytes(answer.content)
print(answer.status_code, answer.headers["content-type"])
