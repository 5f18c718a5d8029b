// The page of `pyruntime bench`: gets its job, measures, and tells the command line how far it is and what came out.

const told = document.getElementById("told");
const bar = document.getElementById("done");

/** Sends an object to the command line; gives what it answers. */
async function tell(what, content) {
  const response = await fetch(what, { method: "POST", body: JSON.stringify(content) });
  if (!response.ok) throw new Error(`${what}: ${response.status} ${response.statusText}`);
  return response.status === 200 ? response.json() : undefined;
}

let last = 0;
/** Tells the part that is done, a few times a second at most. */
function progress(done) {
  bar.value = done;
  if (performance.now() - last < 250) return;
  last = performance.now();
  tell("progress", { done }).catch(() => undefined); // the command line may be gone: the end tells
}

/** Wasm runs in a Worker, where a thread may wait for others. */
function onWasm(job) {
  return new Promise((resolve, reject) => {
    const worker = new Worker("wasm.js", { type: "module" });
    worker.onmessage = ({ data }) => {
      if ("done" in data) return progress(data.done);
      if ("error" in data) reject(Object.assign(new Error(data.error), { kind: data.kind }));
      else resolve(data.result);
    };
    worker.onerror = (event) => reject(new Error(event.message || "the worker cannot be loaded"));
    worker.postMessage(job);
  });
}

async function onGpu(job) {
  const { run } = await import("./gpu.js");
  return run(job, progress, tell);
}

try {
  const job = await (await fetch("job")).json();
  const result = await (job.device === "wasm" ? onWasm(job) : onGpu(job));
  await tell("result", { ...result, agent: navigator.userAgent });
  told.textContent = "Done: the result is in the terminal. You can close this page.";
  bar.value = 1;
} catch (error) {
  told.textContent = `It failed: ${error.message}`;
  await tell("result", { error: error.message, kind: error.kind ?? "run", agent: navigator.userAgent });
}
