"""aiohttp."""

import asyncio
import sys
from pathlib import Path

import aiohttp


async def main() -> None:
    """Send one shot."""
    url, photo, password, out, *texts = sys.argv[1:]
    print("aiohttp", aiohttp.__version__, flush=True)
    form = aiohttp.FormData()
    for text in [*texts, f"password={password}"]:
        form.add_field(*text.split("=", 1))
    with open(photo, "rb") as file:
        form.add_field("fileToUpload", file, filename="IMG_0003.JPG", content_type="image/jpeg")
        async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
            Path(out).write_bytes(await answer.read())
            print(answer.status, answer.headers["content-type"])


asyncio.run(main())
