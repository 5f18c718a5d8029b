// A page whose Pyodide runs in a Worker.
const worker = new Worker("/page.js", { type: "module" });
const next = () => new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));

await next();
globalThis.python = async (code, sync) => {
  const reply = next();
  worker.postMessage([code, sync]);
  const { value, error } = await reply;
  if (error) throw new Error(error);
  return value;
};
