// The worker's half of a session off the calling thread: loads an entry and runs it, by messages.

import { type Backend, choose, openBackend } from "./backend.ts";
import { packError } from "./errors.ts";
import type { Reply, Request } from "./remote.ts";
import { help, type HelpReply, type HelpRequest } from "./team.ts";

/** What is used here of a worker's global scope, which TypeScript's DOM library does not have. */
interface Scope {
  onmessage: (event: MessageEvent<Request | HelpRequest>) => void;
  postMessage(reply: Reply | HelpReply, transfer?: readonly Transferable[]): void;
  close(): void;
  readonly location: { readonly href: string };
}

/** Milliseconds that an engine may take to end helpers which have left the module. */
const HELPERS_END = 500;

const scope = globalThis as unknown as Scope;
const aborts = new Map<number, AbortController>();
let backend: Backend;

async function open(request: Extract<Request, { op: "open" }>): Promise<void> {
  const { id, pack, index, choice, asked, threads } = request;
  const entry = pack.manifest.entries[index]!;
  const chosen = choice ?? (await choose(pack, asked));
  const onProgress = (...progress: [number, number, string?]): void => scope.postMessage({ id, progress });
  const loading = { pack, entry, index, threads, workerUrl: scope.location.href };
  backend = await openBackend({ ...loading, ...(request.progress && { onProgress }) }, chosen);
  const { device, reason } = chosen;
  scope.postMessage({ id, report: { device, reason, ...backend.report, ...backend.present } });
}

async function run({ id, inputs, symbols, outputs, spares }: Extract<Request, { op: "run" }>): Promise<void> {
  const abort = new AbortController();
  aborts.set(id, abort);
  try {
    const made = await backend.run(inputs, symbols, outputs, spares, abort.signal);
    const carriers = inputs.map(({ buffer }) => buffer);
    const memory = [...carriers, ...made.map(({ buffer }) => buffer)];
    scope.postMessage({ id, outputs: made, inputs: carriers, present: backend.present }, memory);
  } finally {
    aborts.delete(id);
  }
}

async function readState({ id, number }: Extract<Request, { op: "readState" }>): Promise<void> {
  const state = await backend.readState(number);
  scope.postMessage({ id, state }, [state.buffer]);
}

/** Does what is asked, and answers; what it throws is posted by the caller. */
async function answer(request: Exclude<Request, { op: "abort" | "end" }>): Promise<void> {
  switch (request.op) {
    case "open":
      return open(request);
    case "run":
      return run(request);
    case "readState":
      return readState(request);
    case "writeStates":
      await backend.writeStates(request.states);
      break;
    case "resetStates":
      await backend.resetStates();
  }
  scope.postMessage({ id: request.id, done: true });
}

/** Ends this worker some time after its helpers: Chromium leaves threads behind where all end together. */
async function end(): Promise<void> {
  await backend.dispose();
  setTimeout(() => scope.close(), HELPERS_END);
}

/** Makes this worker answer messages. */
export function serve(): void {
  scope.onmessage = ({ data }) => {
    if (data.op === "help") return void help(data, (reply) => scope.postMessage(reply));
    if (data.op === "end") return void end();
    if (data.op === "abort") return aborts.get(data.id)?.abort();
    const fail = (error: unknown): void => {
      const { committed = false, present } = (backend as Backend | undefined) ?? {};
      scope.postMessage({ id: data.id, error: packError(error), committed, present });
    };
    answer(data).catch(fail);
  };
}
