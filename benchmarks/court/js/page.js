// A page of the court: enters the contest that its address describes; `court` tells how that went, and runs rounds.
// To where the job's `posts` says, it posts what came of it.
import { enter, told } from "./contest.js";

const job = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const entering = job.limits ? import("./limits.js").then((limits) => limits.enter(job)) : enter(job);
globalThis.court = await entering.catch((error) => ({ error: told(error) }));
if (job.posts) {
  const { error, facts } = globalThis.court;
  const heard = error ? { error } : { since_navigation_ms: facts.since_navigation_ms };
  await fetch(job.posts, { method: "POST", body: JSON.stringify(heard) });
}
console.log("court: ready"); // hosts.py waits for it
