// A Node process of the court: the job as its argument, then one line of JSON for each line on its input.
import { createInterface } from "node:readline";
import { enter, told } from "./contest.js";

const answer = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
console.log = console.error; // engines that talk must not disturb the answers

let court;
try {
  const job = JSON.parse(process.argv[2]);
  court = await (job.limits ? (await import("./limits.js")).enter(job) : enter(job));
  answer(court.facts);
} catch (error) {
  answer({ error: told(error) });
  process.exit(1);
}
for await (const line of createInterface({ input: process.stdin })) {
  const { runs } = JSON.parse(line);
  try {
    if (runs) answer({ ms: await court.round(runs) });
    else answer({ peak_memory: process.resourceUsage().maxRSS * 1024 });
  } catch (error) {
    answer({ error: told(error) });
  }
}
process.exit(0);
