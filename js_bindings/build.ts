// Bundles src/index.ts and src/worker.ts into dist/, and prints what a page will load.
//
// worker.js imports pyruntime.js there, and so does what few pages need: each module that `import()` names is a file
// of its own, fetched when it is needed. In dist/standalone/ pyruntime.js and worker.js are whole: for bundlers, which
// cannot split the code of Workers by default, for Node, which fetches nothing, and for Python's wheel, whose files are
// not served from anywhere.
import { copyFile, readFile, rm } from "node:fs/promises";
import { basename, relative } from "node:path";
import { gzipSync } from "node:zlib";

import { build, type Metafile, type Plugin } from "esbuild";

const root = import.meta.dirname;
await rm(new URL("dist", import.meta.url), { recursive: true, force: true });

/** What worker.ts imports stays a file of its own. */
const runtimeApart: Plugin = {
  name: "runtime-apart",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/index\.ts$/ }, () => ({ path: "./pyruntime.js", external: true }));
  },
};

/** What is imported on demand stays a file of its own; its name goes to `found`. */
const onDemandApart = (found: Set<string>): Plugin => ({
  name: "on-demand-apart",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/.*\.ts$/ }, ({ path, kind }) => {
      if (kind !== "dynamic-import") return undefined;
      const name = basename(path, ".ts");
      found.add(name);
      return { path: `./${name}.js`, external: true };
    });
  },
});

/** What pyruntime.js holds already is imported from there: there is one of each class. */
const sharedApart = (held: ReadonlySet<string>): Plugin => ({
  name: "shared-apart",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/.*\.ts$/ }, ({ path, kind }) =>
      kind === "import-statement" && held.has(basename(path)) ? { path: "./pyruntime.js", external: true } : undefined,
    );
  },
});

async function bundle(outdir: string, names: Readonly<Record<string, string>>, plugins: readonly Plugin[]): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: names,
    outdir,
    plugins: [...plugins],
    bundle: true,
    minify: true,
    // Node prints the whole line that threw an error which nobody catches; in pages each line costs bytes
    ...(outdir !== "dist" && { lineLimit: 500 }),
    format: "esm",
    platform: "neutral",
    target: "es2022",
    external: ["node:*"],
    sourcemap: outdir === "dist" && "external", // for those who work on it: the package has none, so nothing refers to it
    metafile: true,
    logLevel: "warning",
  });
  for (const path of Object.keys(metafile.outputs)) {
    if (!path.endsWith(".js")) continue;
    const bytes = await readFile(new URL(path, import.meta.url));
    const zipped = gzipSync(bytes, { level: 9 }).length;
    console.log(`${relative("dist", path).padEnd(26)} ${bytes.length} bytes, ${zipped} gzipped`);
  }
  return metafile;
}

await copyFile(new URL("../LICENSE", import.meta.url), new URL("LICENSE", import.meta.url)); // the package carries it

const first = { pyruntime: "src/index.ts", worker: "src/worker.ts" };
const found = new Set<string>();
const { outputs } = await bundle("dist", first, [runtimeApart, onDemandApart(found)]);
const held = new Set(Object.keys(outputs["dist/pyruntime.js"]!.inputs).map((path) => basename(path)));
const onDemand = Object.fromEntries([...found].map((name) => [name, `src/${name}.ts`]));
await bundle("dist", onDemand, [sharedApart(held), onDemandApart(found)]);
// linking fails where one imports what index.ts does not export
for (const name of found) await import(new URL(`dist/${name}.js`, import.meta.url).href);
await bundle("dist/standalone", first, []);
