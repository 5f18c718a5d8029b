// A page of the court: enters the contest that its address describes; `court` tells how that went, and runs rounds.
import { enter, told } from "./contest.js";

const job = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const entering = job.limits ? import("./limits.js").then((limits) => limits.enter(job)) : enter(job);
globalThis.court = await entering.catch((error) => ({ error: told(error) }));
console.log("court: ready"); // hosts.py waits for it
