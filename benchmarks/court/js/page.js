// A page of the court: enters the contest that its address describes; `court` tells how that went, and runs rounds.
import { enter, told } from "./contest.js";

const job = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const entering = job.limits ? import("./limits.js").then((limits) => limits.enter(job)) : enter(job);
entering.then(
  (entered) => {
    globalThis.court = entered;
  },
  (error) => {
    globalThis.court = { error: told(error) };
  },
);
