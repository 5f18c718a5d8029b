// The lines that do in another page what this one does: the same pack, device and sizes.

const key = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));
const options = (fields) => `{ ${Object.entries(fields).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")} }`;
const array = (data) => (Array.isArray(data) ? `Array(${data.length}).fill("")` : `new ${data.constructor.name}(${data.length})`);

/**
 * @param {string} name of the pack.
 * @param {object} loading options of `load`.
 * @param {import("./feeds.js").Tensor[]} feeds
 * @param {boolean} keeps whether the pack keeps states from run to run.
 */
export function snippet(name, loading, feeds, keeps) {
  return [
    'import { load } from "pyruntime"; // or the path of its dist/pyruntime.js',
    "",
    `const session = await load(${JSON.stringify(`/${name}.pack/`)}, ${options(loading)});`,
    "const feeds = {",
    ...feeds.map(({ name: input, data, shape }) => `  ${key(input)}: { data: ${array(data)}, shape: [${shape.join(", ")}] },`),
    "};",
    `const outputs = await session.run(feeds);${keeps ? " // goes on from the state that the run before left" : ""}`,
    "console.log(session.device, outputs); // each with data, shape and dtype",
    "session.dispose();",
  ].join("\n");
}
