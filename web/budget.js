// Is the script that a first visit loads, gzipped, within the budget?
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const budget = 250 * 1024; // bytes
const manifest = JSON.parse(readFileSync(new URL("dist/.vite/manifest.json", import.meta.url), "utf8"));

/** The files that one of the manifest loads before it runs. */
function needed(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const other of manifest[name].imports ?? []) needed(other, seen);
  return seen;
}

const size = (names) =>
  [...names].reduce(
    (sum, n) => sum + gzipSync(readFileSync(new URL(`dist/${manifest[n].file}`, import.meta.url))).length,
    0,
  );

// The page that opens first has its own scripts besides those of every page.
const first = new Set([...needed("index.html"), ...needed("src/pages/groups/Groups.tsx")]);
const bytes = size(first);
const all = Object.keys(manifest).filter((n) => manifest[n].file.endsWith(".js"));
console.log(`first page: ${(bytes / 1024).toFixed(0)} KiB of script gzipped, ${budget / 1024} allowed`);
console.log(`all pages: ${(size(all) / 1024).toFixed(0)} KiB`);
if (bytes > budget) process.exit(1);
