// Node's own fetch, which is undici.
import { readFile, writeFile } from "node:fs/promises";

const [url, photo, password, out, ...texts] = process.argv.slice(2);
console.log(`Node ${process.versions.node}, undici ${process.versions.undici}`);
const form = new FormData();
for (const text of [...texts, `password=${password}`]) {
  form.append(text.split("=", 1)[0], text.slice(text.indexOf("=") + 1));
}
form.append("fileToUpload", new Blob([await readFile(photo)], { type: "image/jpeg" }), "IMG_0003.JPG");

const answer = await fetch(url, { method: "POST", body: form });
await writeFile(out, Buffer.from(await answer.arrayBuffer()));
console.log(answer.status, answer.headers.get("content-type"));
