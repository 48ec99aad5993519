// axios on Node.
import { readFile, writeFile } from "node:fs/promises";

import axios from "axios";

const [url, photo, password, out, ...texts] = process.argv.slice(2);
console.log(`axios ${axios.VERSION}`);
const form = new FormData();
for (const text of [...texts, `password=${password}`]) {
  form.append(text.split("=", 1)[0], text.slice(text.indexOf("=") + 1));
}
form.append("fileToUpload", new Blob([await readFile(photo)], { type: "image/jpeg" }), "IMG_0003.JPG");

const answer = await axios.post(url, form, { responseType: "arraybuffer", validateStatus: null });
await writeFile(out, answer.data);
console.log(answer.status, answer.headers["content-type"]);
