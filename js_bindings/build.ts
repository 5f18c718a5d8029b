// Bundles src/index.ts and src/worker.ts into dist/, and prints what a page will load.
//
// worker.js imports pyruntime.js there; in dist/standalone/, which Python's wheel carries, each of the two is
// whole, since files that are not served from anywhere cannot import each other.
import { readFile, rm } from "node:fs/promises";
import { relative } from "node:path";
import { gzipSync } from "node:zlib";

import { build, type Plugin } from "esbuild";

const root = import.meta.dirname;
await rm(new URL("dist", import.meta.url), { recursive: true, force: true });

/** What worker.ts imports stays a file of its own. */
const runtimeApart: Plugin = {
  name: "runtime-apart",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/index\.ts$/ }, () => ({ path: "./pyruntime.js", external: true }));
  },
};

async function bundle(outdir: string, plugins: readonly Plugin[]): Promise<void> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: { pyruntime: "src/index.ts", worker: "src/worker.ts" },
    outdir,
    plugins: [...plugins],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    external: ["node:*"],
    sourcemap: outdir === "dist",
    metafile: true,
    logLevel: "warning",
  });
  for (const path of Object.keys(result.metafile.outputs)) {
    if (!path.endsWith(".js")) continue;
    const bytes = await readFile(new URL(path, import.meta.url));
    const zipped = gzipSync(bytes, { level: 9 }).length;
    console.log(`${relative("dist", path).padEnd(26)} ${bytes.length} bytes, ${zipped} gzipped`);
  }
}

await bundle("dist", [runtimeApart]);
await bundle("dist/standalone", []);
