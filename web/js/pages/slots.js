import { readyForAdmin } from "../lib/page.js";

await readyForAdmin();
