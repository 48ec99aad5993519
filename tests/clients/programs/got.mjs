// got.
import { readFile, writeFile } from "node:fs/promises";

import got from "got";

const [url, photo, password, out, ...texts] = process.argv.slice(2);
const { version } = JSON.parse(await readFile(new URL("node_modules/got/package.json", import.meta.url)));
console.log(`got ${version}`);
const form = new FormData();
for (const text of [...texts, `password=${password}`]) {
  form.append(text.split("=", 1)[0], text.slice(text.indexOf("=") + 1));
}
form.append("fileToUpload", new Blob([await readFile(photo)], { type: "image/jpeg" }), "IMG_0003.JPG");

const answer = await got.post(url, { body: form, responseType: "buffer", throwHttpErrors: false });
await writeFile(out, answer.body);
console.log(answer.statusCode, answer.headers["content-type"]);
