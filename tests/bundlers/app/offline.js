// A page that its service worker keeps.
import { load } from "/npm/dist/pyruntime.js";

await navigator.serviceWorker.register("./service.js", { type: "module" });
if (!navigator.serviceWorker.controller) {
  await new Promise((claimed) => navigator.serviceWorker.addEventListener("controllerchange", claimed, { once: true }));
}

globalThis.answer = async (url, options) => {
  const session = await load(url, options);
  const { y } = await session.run({ x: { data: new Float32Array([1, 2, 3, 4]), shape: [1, 4] } });
  session.dispose();
  return [...y.data];
};
document.documentElement.dataset.ready = "";
