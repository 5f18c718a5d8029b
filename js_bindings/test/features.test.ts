// pack.json: what only some packs have, lists, state and host steps, and each wrong field of it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseManifest } from "../src/schema.ts";
import { dispatch, type Draft, HASH, program, refused, valid, type Wrong } from "./manifests.ts";

/** Adds a state that begins as a weight, and one that grows. */
function withState(m: Draft): any {
  const [entry] = m.entries;
  m.requires = ["state"];
  Object.assign(m, {
    state: [
      { name: "h", dtype: "float32", shape: [4, 5], initial: 1 },
      { name: "past", dtype: "float32", shape: [2, 8], axis: 1 },
    ],
  });
  entry!.symbols.push({ name: "past", state: 1 } as any);
  Object.assign(entry!, { state: [{ state: 0 }, { state: 1, length: "past", next: ["past", "n", "+"] }] });
  m.targets.wasm!["state"] = [139264, 139392];
  m.targets.wasm!["entries"][0].commit = 0;
  m.targets.webgpu!["state"] = [80, 64];
  dispatch(m).bindings[0] = ["state", 1, 0, 64];
  return m;
}

test("a pack with state", () => {
  const { entries, state, model, targets } = parseManifest(JSON.stringify(withState(valid())));
  assert.deepEqual(state[1], { name: "past", dtype: "float32", shape: [2, 8], axis: 1, initial: undefined });
  assert.deepEqual(entries[0]!.state[1], { state: 1, length: "past", next: ["past", "n", "+"] });
  assert.equal(model.sha256, HASH);
  assert.equal(targets.wasm!.entries[0]!.commit, 0);
  assert.deepEqual(targets.webgpu!.state, [80, 64]);
});

const withLists = (): any => {
  const made = valid() as any;
  made.requires = ["lists"];
  made.entries[0].lists = [
    { name: "gone", of: "inputs", first: 0 },
    { name: "pair", of: "inputs", first: 0, length: 2 },
    { name: "none", of: "outputs", first: 1, length: 0 },
  ];
  return made;
};

test("lists of inputs and outputs", () => {
  const { entries } = parseManifest(JSON.stringify(withLists()));
  assert.deepEqual(
    entries[0]!.lists.map(({ length }) => length),
    [undefined, 2, 0],
  );
});

const WRONG_LISTS: Wrong<any> = {
  "no requirement": ["requires: ", (m) => (m.requires = [])],
  "a name twice": ["entries[0].inputs[3].name: ", (m) => (m.entries[0].lists[1].name = "gone")],
  "the name of an input": ["entries[0].inputs[2].name: ", (m) => (m.entries[0].lists[0].name = m.entries[0].inputs[0].name)],
  "more inputs than there are": ["entries[0].lists: ", (m) => (m.entries[0].lists[1].length = 3)],
  "an output in two": ["entries[0].lists: ", (m) => (m.entries[0].lists[0].length = 1)],
  "of nothing": ["entries[0].lists[2].of: ", (m) => (m.entries[0].lists[2].of = "state")],
};

refused("lists: ", withLists, WRONG_LISTS);

/** Adds a module of host steps, an input in its memory alone, and a command that tells a symbol. */
function withHost(m: Draft): any {
  m.requires = ["host"];
  const { entries: _, ...module } = structuredClone(m.targets.wasm!);
  m.targets.webgpu!["host"] = { ...module, entries: [{ bytes: ["n", 131072, "+"], steps: ["two"], symbols: ["n"] }] };
  program(m).inputs[0] = { host: ["n", 131072, "+"] };
  const from = [["arena", 0, 0, 131072, ["n", 4, "*"], "float32"]];
  program(m).commands.push(
    { op: "host", first: 0, last: 1, from, to: [], reads: [["k", 131072, "int64"]] },
    { op: "fill", to: ["arena", 1, 0], bytes: "k" },
  );
  program(m).commit = 1;
  return m;
}

test("host steps", () => {
  const { targets } = parseManifest(JSON.stringify(withHost(valid())));
  const { host, variants } = targets.webgpu!;
  assert.deepEqual(host!.entries[0]!.symbols, ["n"]);
  assert.deepEqual(host!.variants[0]!.chunks, [HASH]);
  assert.equal(variants[0]!.entries[0]!.commit, 1);
});

const HOST = "targets.webgpu.host";
const PROGRAM = "targets.webgpu.variants[0].entries[0]";
const WRONG_HOST: Wrong<any> = {
  "an input that is nowhere": [`${PROGRAM}.inputs[0].arena: `, (m) => (program(m).inputs[0] = {})],
  "an input in the memory of none": [`${PROGRAM}.inputs[0].arena: `, (m) => delete m.targets.webgpu.host],
  "an address over what is unknown": [`${PROGRAM}.inputs[0].host: `, (m) => (program(m).inputs[0].host = "m")],
  "a module for fewer entries": [`${HOST}.entries: `, (m) => m.targets.webgpu.host.entries.pop()],
  "weights that overlap": [`${HOST}.weights: `, (m) => (m.targets.webgpu.host.weights[1].address = 131076)],
  "memory over what is unknown": [`${HOST}.entries[0].bytes: `, (m) => (m.targets.webgpu.host.entries[0].bytes = "k")],
  "a transfer to nowhere": [`${PROGRAM}.commands[3].from[0]`, (m) => program(m).commands[3].from[0].pop()],
  "a symbol that nothing tells": [`${PROGRAM}.commands[4]`, (m) => program(m).commands[3].reads.pop()],
};

refused("host: ", () => withHost(valid()), WRONG_HOST);

const WRONG_STATE: Wrong<any> = {
  "no requirement": ["requires: ", (m) => (m.requires = [])],
  "a state twice": ["state[1].name: ", (m) => (m.state[1].name = "h")],
  "too many bytes": ["state[1].shape: ", (m) => (m.state[1].shape = [2 ** 40, 2 ** 40])],
  "an axis that is not there": ["state[1].axis: ", (m) => (m.state[1].axis = 2)],
  "an initial weight that is not there": ["state[0].initial: ", (m) => (m.state[0].initial = 2)],
  "an initial weight of another size": ["state[0].initial: ", (m) => (m.state[0].initial = 0)],
  "growth from something": ["state[1].initial: ", (m) => (m.state[1].initial = 0)],
  "an initial weight that Wasm lacks": ["state[0].initial: ", (m) => m.targets.wasm.weights.pop()],
  "an initial weight that the GPU lacks": ["state[0].initial: ", (m) => m.targets.webgpu.weights.pop()],
  "an entry's state that is not there": ["entries[0].state[0].state: ", (m) => (m.entries[0].state[0].state = 2)],
  "an entry's state twice": ["entries[0].state[2].state: ", (m) => m.entries[0].state.push({ state: 0 })],
  "a length of what does not grow": ["entries[0].state[0].length: ", (m) => (m.entries[0].state[0].length = 1)],
  "growth without end": ["entries[0].state[1].next: ", (m) => delete m.entries[0].state[1].next],
  "growth by what is unknown": ["entries[0].state[1].next: ", (m) => (m.entries[0].state[1].next = "m")],
  "a symbol of input and state": ["entries[0].symbols[1]: ", (m) => (m.entries[0].symbols[1].input = 0)],
  "a symbol of nothing": ["entries[0].symbols[1]: ", (m) => delete m.entries[0].symbols[1].state],
  "a symbol of what does not grow": ["entries[0].symbols[1].state: ", (m) => (m.entries[0].symbols[1].state = 0)],
  "a symbol of a state that is not there": ["entries[0].symbols[1].state: ", (m) => (m.entries[0].symbols[1].state = 2)],
  "too few addresses": ["targets.wasm.state: ", (m) => m.targets.wasm.state.pop()],
  "an address in the stack": ["targets.wasm.state[0]: ", (m) => (m.targets.wasm.state[0] = 64)],
  "an address askew": ["targets.wasm.state[0]: ", (m) => (m.targets.wasm.state[0] = 139266)],
  "an address among the weights": ["targets.wasm.weights: ", (m) => (m.targets.wasm.state[0] = 131072)],
  "a step that is not there": ["targets.wasm.entries[0].commit: ", (m) => (m.targets.wasm.entries[0].commit = 1)],
  "too few buffers": ["targets.webgpu.state: ", (m) => m.targets.webgpu.state.pop()],
  "a small buffer": ["targets.webgpu.state[1]: ", (m) => (m.targets.webgpu.state[1] = 60)],
  "a dtype that GPUs lack": ["targets.webgpu.state[1]: ", (m) => (m.state[1].dtype = "float64")],
  "a binding of a state that is not there": [
    "targets.webgpu.variants[0].entries[0].commands[0] state: ",
    (m) => (dispatch(m).bindings[0][1] = 2),
  ],
  "a binding of a state that the entry has not": [
    "targets.webgpu.variants[0].entries[0].commands[0]: ",
    (m) => {
      m.entries[0].state.pop();
      m.entries[0].symbols.pop();
    },
  ],
};

refused("state: ", () => withState(valid()), WRONG_STATE);
