// A thread that answers one message at a time: a Worker of a page, or a worker thread of Node.

export async function thread(url) {
  const node = typeof Worker !== "function";
  const worker = node ? new (await import("node:worker_threads")).Worker(new URL(url)) : new Worker(url, { type: "module" });
  let answer;
  if (node) worker.on("message", (data) => answer(data));
  else worker.onmessage = ({ data }) => answer(data);
  return {
    ask: (message) =>
      new Promise((resolve) => {
        answer = resolve;
        worker.postMessage(message);
      }),
  };
}
