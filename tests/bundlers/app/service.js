// A service worker that keeps a page and all it asks for, and runs a pack itself for ./answer.
import { load } from "/npm/dist/pyruntime.js";

const KEPT = "kept";

async function kept(request) {
  const cache = await caches.open(KEPT);
  const found = await cache.match(request);
  if (found) return found;
  const fetched = await fetch(request);
  if (fetched.ok) await cache.put(request, fetched.clone());
  return fetched;
}

async function answer(pack) {
  const session = await load(pack, { device: "wasm", worker: false, cache: true });
  const { y } = await session.run({ x: { data: new Float32Array([1, 2, 3, 4]), shape: [1, 4] } });
  session.dispose();
  return Response.json([...y.data]);
}

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  event.respondWith(url.pathname === "/answer" ? answer(url.searchParams.get("pack")) : kept(event.request));
});
