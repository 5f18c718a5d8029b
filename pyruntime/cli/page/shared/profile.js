// "Profile": what each step of the model takes on the chosen device, the longest first.
import { element, milliseconds } from "./format.js";

/** What `session.profile` gives. @typedef {{
 *   steps: readonly {step: string, op: string, milliseconds: number}[],
 *   runs: number,
 *   clock: string,
 * }} Profile */

/**
 * @param {HTMLDetailsElement} details has a summary alone; what it shows is measured when it is opened.
 * @param {() => Promise<Profile> | undefined} measure on the device that is chosen; nothing where that cannot be.
 * @returns {() => void} to be called when another device is chosen.
 */
export function showProfile(details, measure) {
  const status = element("p", { role: "status" });
  const again = element("button", { type: "button", text: "Measure again" });
  const heads = ["Step", "Kind", "Time", "Share"].map((text) => element("th", { scope: "col", text }));
  const body = element("tbody");
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const steps = element("div", { class: "steps", tabindex: "0", role: "region", "aria-label": "Steps by time" }, table);
  steps.hidden = true;
  details.append(status, again, steps);
  let newest = 0;

  const update = async () => {
    const number = ++newest;
    delete details.dataset.measured;
    again.disabled = true;
    status.textContent = "Measuring …";
    const { told, rows } = await outcome(measure);
    if (number !== newest) return; // another device by now
    status.textContent = told;
    body.replaceChildren(...rows);
    steps.hidden = !rows.length;
    again.disabled = false;
    details.dataset.measured = rows.length;
  };
  details.addEventListener("toggle", () => {
    if (details.open) return update();
    newest++; // what is under way is not shown any more
    delete details.dataset.measured;
  });
  again.addEventListener("click", update);
  return () => details.open && update();
}

/** The rows, and a line about them; or why there are none. */
async function outcome(measure) {
  try {
    const found = await measure();
    return found ? { told: toldOf(found), rows: rowsOf(found) } : { told: "There is nothing to measure here.", rows: [] };
  } catch (error) {
    return { told: `Not available: ${error.message}`, rows: [] };
  }
}

const short = (spent) => (spent < 0.1 ? `${(1000 * spent).toFixed(spent < 0.01 ? 1 : 0)} µs` : milliseconds(spent));
const sum = (steps) => steps.reduce((all, step) => all + step.milliseconds, 0);

function toldOf({ steps, runs, clock }) {
  const how = clock === "timestamp-query" ? "by the GPU's own clock" : "on one thread";
  return `${steps.length} steps take ${short(sum(steps))} together, ${how}: the means of ${runs} runs.`;
}

function rowsOf({ steps }) {
  const all = sum(steps) || 1;
  return steps
    .toSorted((a, b) => b.milliseconds - a.milliseconds)
    .map(({ step, op, milliseconds: spent }) => {
      const bar = element("i", { "aria-hidden": "true" });
      bar.style.setProperty("--share", (spent / all).toFixed(4));
      const share = element("span", { text: `${((100 * spent) / all).toFixed(1)} %` });
      const name = step.startsWith(`${op} `) ? step.slice(op.length + 1) : step;
      return element(
        "tr",
        {},
        element("th", { scope: "row", text: name }),
        element("td", { text: op }),
        element("td", { text: short(spent) }),
        element("td", {}, bar, share),
      );
    });
}
