// Bundles src/index.ts and src/worker.ts, and what both need, into dist/, and prints what a page will load.
import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

await rm(new URL("dist", import.meta.url), { recursive: true, force: true });
const result = await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: { pyruntime: "src/index.ts", worker: "src/worker.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  chunkNames: "shared",
  minify: true,
  format: "esm",
  platform: "neutral",
  target: "es2022",
  external: ["node:*"],
  sourcemap: true,
  metafile: true,
  logLevel: "warning",
});

for (const path of Object.keys(result.metafile.outputs)) {
  if (!path.endsWith(".js")) continue;
  const bytes = await readFile(new URL(path, import.meta.url));
  const zipped = gzipSync(bytes, { level: 9 }).length;
  console.log(`${basename(path).padEnd(14)} ${bytes.length} bytes, ${zipped} gzipped`);
}
