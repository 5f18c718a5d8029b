// What a user of the npm package writes; the test calls `answer` in the bundled page.
import { load } from "pyruntime";

globalThis.answer = async (url, options, feeds) => {
  const session = await load(url, options);
  try {
    const typed = Object.entries(feeds).map(([name, { data, shape }]) => [
      name,
      { data: new Float32Array(data), shape },
    ]);
    const outputs = await session.run(Object.fromEntries(typed));
    const plain = Object.entries(outputs).map(([name, { data, shape }]) => [name, { data: [...data], shape }]);
    return { device: session.device, threads: session.report.threads, outputs: Object.fromEntries(plain) };
  } finally {
    session.dispose();
  }
};
document.documentElement.dataset.ready = "";
