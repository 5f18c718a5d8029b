// pack.json: a whole manifest passes, and each wrong field is named by its path.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseManifest } from "../src/schema.ts";

const HASH = "0".repeat(64);
const INFINITY_BITS = 0x7f800000;

/** A manifest of both targets with one weight and one dispatch, loosely typed to be damaged. */
const valid = () => ({
  format: 0 as number,
  requires: [] as string[],
  model: { sha256: HASH },
  entries: [
    {
      name: "main",
      symbols: [{ name: "n", input: 0, axis: 0 }],
      inputs: [
        { name: "x", dtype: "float32", shape: ["n", 4] as unknown[] },
        { name: "mask", dtype: "uint8", shape: ["n"], default: 255 as unknown },
      ] as { name: string; dtype: string; shape: unknown[]; default?: unknown }[],
      outputs: [{ name: "y", dtype: "int64", shape: [["n", 2, "*"]] as unknown[] }],
    },
  ],
  assets: [
    { name: "words.txt", file: "words-00.txt", bytes: 3, sha256: HASH },
    { name: "a/b", file: "a-b", bytes: 0, sha256: HASH },
  ],
  weights: {
    shards: [{ file: "weights-00.safetensors", bytes: 108, data: 8, chunks: [HASH] }],
    tensors: [
      { name: "w", dtype: "float16", elements: 10, shard: 0, offset: 0, bytes: 20, layout: "plain", shape: [10] },
      { name: "v", dtype: "float32", elements: 20, shard: 0, offset: 20, bytes: 80, layout: "plain", shape: [20] },
    ],
  },
  targets: {
    wasm: {
      abi: 1,
      pointer_bits: 32,
      initial_pages: 3,
      weights: [
        { tensor: 0, address: 131072, dtype: "float32" },
        { tensor: 1, address: 131112, dtype: "float32" },
      ],
      entries: [{ bytes: ["n", 64, "*"] as unknown[], steps: ["one"] }],
      variants: [{ requires: [] as string[], file: "model.wasm", bytes: 1, sha256: HASH }],
    } as Record<string, any> | undefined,
    webgpu: {
      buffers: [512],
      weights: [
        { tensor: 0, buffer: 0, offset: 0, dtype: "float32" },
        { tensor: 1, buffer: 0, offset: 256, dtype: "float32" },
      ],
      variants: [
        {
          requires: [] as string[],
          limits: {} as Record<string, unknown>,
          file: "shaders.wgsl",
          bytes: 10,
          sha256: HASH,
          shaders: [{ name: "s", offset: 0, bytes: 10, bindings: ["read", "read", "read_write"], words: 2 }],
          entries: [
            {
              arenas: [["n", 16, "*"], 256] as unknown[],
              inputs: [
                { arena: 0, offset: 0, dtype: "float32" },
                { arena: 0, offset: 256, dtype: "uint32" },
              ],
              outputs: [{ arena: 1, offset: 0, dtype: "int32" }],
              commands: [
                {
                  op: "dispatch",
                  step: "one",
                  shader: 0,
                  bindings: [
                    ["arena", 0, 0, 16],
                    ["weights", 0, 0, 40],
                    ["arena", 1, 0, 4],
                  ],
                  words: [INFINITY_BITS, "n"],
                  workgroups: ["n", 1, 1],
                },
                { op: "copy", from: ["arena", 0, 0], to: ["arena", 1, 0], bytes: 4 },
                { op: "fill", to: ["arena", 1, 0], bytes: "n" },
              ],
            },
          ],
        },
      ],
    } as Record<string, any> | undefined,
  },
});

type Draft = ReturnType<typeof valid>;
const variant = (m: Draft): any => m.targets.webgpu!["variants"][0];
const program = (m: Draft): any => variant(m).entries[0];
const dispatch = (m: Draft): any => program(m).commands[0];

test("a whole manifest passes, and unknown fields are ignored", () => {
  const { entries, assets, targets } = parseManifest(JSON.stringify({ ...valid(), report: { any: 1 }, future: [] }));
  assert.equal(entries[0]!.name, "main");
  assert.equal(entries[0]!.inputs[1]!.default, 255);
  assert.deepEqual(assets[0], { name: "words.txt", file: "words-00.txt", bytes: 3, chunks: [HASH], chunk: 3 });
  assert.deepEqual(targets.wasm!.variants[0]!.chunks, [HASH]);
});

test("one target is enough", () => {
  for (const target of ["wasm", "webgpu"] as const) {
    const manifest = valid();
    delete manifest.targets[target];
    assert.equal(parseManifest(JSON.stringify(manifest)).targets[target], undefined);
  }
});

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

const WRONG_LISTS: Record<string, [path: string, damage: (m: any) => unknown]> = {
  "no requirement": ["requires: ", (m) => (m.requires = [])],
  "a name twice": ["entries[0].inputs[3].name: ", (m) => (m.entries[0].lists[1].name = "gone")],
  "the name of an input": ["entries[0].inputs[2].name: ", (m) => (m.entries[0].lists[0].name = m.entries[0].inputs[0].name)],
  "more inputs than there are": ["entries[0].lists: ", (m) => (m.entries[0].lists[1].length = 3)],
  "an output in two": ["entries[0].lists: ", (m) => (m.entries[0].lists[0].length = 1)],
  "of nothing": ["entries[0].lists[2].of: ", (m) => (m.entries[0].lists[2].of = "state")],
};

for (const [name, [path, damage]] of Object.entries(WRONG_LISTS)) {
  test(`lists: ${name}`, () => {
    const manifest = withLists();
    damage(manifest);
    assert.throws(
      () => parseManifest(JSON.stringify(manifest)),
      ({ message }: Error) => message.startsWith(`pack.json: ${path}`) || assert.fail(message),
    );
  });
}

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
const WRONG_HOST: Record<string, [path: string, damage: (m: any) => unknown]> = {
  "an input that is nowhere": [`${PROGRAM}.inputs[0].arena: `, (m) => (program(m).inputs[0] = {})],
  "an input in the memory of none": [`${PROGRAM}.inputs[0].arena: `, (m) => delete m.targets.webgpu.host],
  "an address over what is unknown": [`${PROGRAM}.inputs[0].host: `, (m) => (program(m).inputs[0].host = "m")],
  "a module for fewer entries": [`${HOST}.entries: `, (m) => m.targets.webgpu.host.entries.pop()],
  "weights that overlap": [`${HOST}.weights: `, (m) => (m.targets.webgpu.host.weights[1].address = 131076)],
  "memory over what is unknown": [`${HOST}.entries[0].bytes: `, (m) => (m.targets.webgpu.host.entries[0].bytes = "k")],
  "a transfer to nowhere": [`${PROGRAM}.commands[3].from[0]`, (m) => program(m).commands[3].from[0].pop()],
  "a symbol that nothing tells": [`${PROGRAM}.commands[4]`, (m) => program(m).commands[3].reads.pop()],
};

for (const [name, [path, damage]] of Object.entries(WRONG_HOST)) {
  test(`host: ${name}`, () => {
    const manifest = withHost(valid());
    damage(manifest);
    assert.throws(
      () => parseManifest(JSON.stringify(manifest)),
      ({ message }: Error) => message.startsWith(`pack.json: ${path}`) || assert.fail(message),
    );
  });
}

const WRONG_STATE: Record<string, [path: string, damage: (m: any) => unknown]> = {
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

for (const [name, [path, damage]] of Object.entries(WRONG_STATE)) {
  test(`state: ${name}`, () => {
    const manifest = withState(valid());
    damage(manifest);
    assert.throws(
      () => parseManifest(JSON.stringify(manifest)),
      ({ message }: Error) => message.startsWith(`pack.json: ${path}`) || assert.fail(message),
    );
  });
}

const WRONG: Record<string, [path: string, damage: (m: Draft) => unknown]> = {
  "no format": ["format: ", (m) => Reflect.deleteProperty(m, "format")],
  "a format that is no number": ["format: ", (m) => Object.assign(m, { format: "0" })],
  "no target": ["targets: ", (m) => (m.targets = {} as Draft["targets"])],
  "no entry": ["entries: ", (m) => (m.entries = [])],
  "an entry twice": ["entries[1].name: ", (m) => m.entries.push(m.entries[0]!)],
  "an unknown dtype": ["entries[0].inputs[0].dtype: ", (m) => (m.entries[0]!.inputs[0]!.dtype = "toString")],
  "an unknown symbol": ["entries[0].outputs[0].shape: ", (m) => (m.entries[0]!.outputs[0]!.shape = ["m"])],
  "a malformed dim": ["entries[0].outputs[0].shape: ", (m) => (m.entries[0]!.outputs[0]!.shape = [["n", "*"]])],
  "a dim of another type": ["entries[0].outputs[0].shape[0]: ", (m) => (m.entries[0]!.outputs[0]!.shape = [null])],
  "a negative size": ["entries[0].inputs[0].shape: ", (m) => (m.entries[0]!.inputs[0]!.shape[1] = -1)],
  "a symbol that its input lacks": ["entries[0].symbols[0]: ", (m) => (m.entries[0]!.symbols[0]!.axis = 1)],
  "a size of 2 at least": ["entries[0].symbols[0].least: ", (m) => ((m.entries[0]!.symbols[0] as any).least = 2)],
  "a symbol bound twice": ["entries[0].symbols[0]: ", (m) => ((m.entries[0]!.symbols[0] as any).element = 0)],
  "a symbol of a float": [
    "entries[0].symbols[0].part: ",
    (m) => (m.entries[0]!.symbols[0] = { name: "n", input: 0, element: 0 } as any),
  ],
  "a part of a size": ["entries[0].symbols[0].part: ", (m) => ((m.entries[0]!.symbols[0] as any).part = "numerator")],
  "an unknown part": ["entries[0].symbols[0].part: ", (m) => ((m.entries[0]!.symbols[0] as any).part = "whole")],
  "a part of an input of open size": [
    "entries[0].symbols[0].element: ",
    (m) => (m.entries[0]!.symbols[0] = { name: "n", input: 0, element: 0, part: "denominator" } as any),
  ],
  "a symbol of an element that is not there": [
    "entries[0].symbols[1].element: ",
    (m) => {
      m.entries[0]!.inputs.push({ name: "k", dtype: "int64", shape: [2] });
      m.entries[0]!.symbols.push({ name: "k", input: 2, element: 2 } as any);
    },
  ],
  "a constraint over nothing": [
    "entries[0].constraints[0].value: ",
    (m) => ((m.entries[0] as any).constraints = [{ value: "m", reason: "why" }]),
  ],
  "a symbol of no input": ["entries[0].symbols[0].input: ", (m) => (m.entries[0]!.symbols[0]!.input = 2)],
  "a symbol of an input that need not be fed": [
    "entries[0].symbols[0].input: ",
    (m) => (m.entries[0]!.inputs[0]!.default = 0),
  ],
  "a default of an output": [
    "entries[0].outputs[0].default: ",
    (m) => Object.assign(m.entries[0]!.outputs[0]!, { default: 0 }),
  ],
  "a default past its dtype": ["entries[0].inputs[1].default: ", (m) => (m.entries[0]!.inputs[1]!.default = 256)],
  "a default below its dtype": ["entries[0].inputs[1].default: ", (m) => (m.entries[0]!.inputs[1]!.default = -1)],
  "a default that is no integer": ["entries[0].inputs[1].default: ", (m) => (m.entries[0]!.inputs[1]!.default = 0.5)],
  "a default that is no number": ["entries[0].inputs[1].default: ", (m) => (m.entries[0]!.inputs[1]!.default = true)],
  "integers of a float": [
    "entries[0].inputs[0].within: ",
    (m) => Object.assign(m.entries[0]!.inputs[0]!, { within: [0, 1] }),
  ],
  "integers past their dtype": [
    "entries[0].inputs[1].within: ",
    (m) => Object.assign(m.entries[0]!.inputs[1]!, { within: [0, 256] }),
  ],
  "a default past the integers": [
    "entries[0].inputs[1].within: ",
    (m) => Object.assign(m.entries[0]!.inputs[1]!, { within: [0, 254] }),
  ],
  "strings that are not required": [
    "requires: ",
    (m) => Object.assign(m.entries[0]!.inputs[0]!, { dtype: "uint8", shape: ["n", "n"], encodes: "string" }),
  ],
  "strings without bytes": [
    "entries[0].outputs[0].encodes: ",
    (m) => {
      m.requires = ["strings"];
      Object.assign(m.entries[0]!.outputs[0]!, { dtype: "uint8", shape: [], encodes: "string" });
    },
  ],
  "strings that are no bytes": [
    "entries[0].outputs[0].encodes: ",
    (m) => {
      m.requires = ["strings"];
      Object.assign(m.entries[0]!.outputs[0]!, { encodes: "string" });
    },
  ],
  "an asset twice": ["assets[1].name: ", (m) => (m.assets[1]!.name = "words.txt")],
  "an asset in another folder": ["assets[0].file: ", (m) => (m.assets[0]!.file = "../words.txt")],
  "an asset without a hash": ["assets[0].sha256: ", (m) => (m.assets[0]!.sha256 = "")],
  "an output twice": ["entries[0].outputs[1].name: ", (m) => m.entries[0]!.outputs.push(m.entries[0]!.outputs[0]!)],
  "a path": ["weights.shards[0].file: ", (m) => (m.weights.shards[0]!.file = "a/b")],
  "a hidden file": ["weights.shards[0].file: ", (m) => (m.weights.shards[0]!.file = "..")],
  "a short hash": ["weights.shards[0].chunks[0]: ", (m) => (m.weights.shards[0]!.chunks = ["00"])],
  "too few hashes": ["weights.shards[0].chunks: ", (m) => (m.weights.shards[0]!.bytes = 2 ** 23)],
  "data past the file": ["weights.shards[0].data: ", (m) => (m.weights.shards[0]!.data = 109)],
  "a tensor's bytes": ["weights.tensors[0].bytes: ", (m) => (m.weights.tensors[0]!.elements = 11)],
  "a tensor past its shard": ["weights.tensors[1]: ", (m) => (m.weights.tensors[1]!.offset = 24)],
  "tensors that overlap": ["weights.shards[0]: ", (m) => (m.weights.tensors[1]!.offset = 16)],
  "an unknown shard": ["weights.tensors[0].shard: ", (m) => (m.weights.tensors[0]!.shard = 1)],
  "ABI 0": ["targets.wasm.abi: ", (m) => (m.targets.wasm!["abi"] = 0)],
  "no pages": ["targets.wasm.initial_pages: ", (m) => (m.targets.wasm!["initial_pages"] = 0)],
  "an address in the stack": ["targets.wasm.weights[0].address: ", (m) => (m.targets.wasm!["weights"][0].address = 64)],
  "an address askew": ["targets.wasm.weights[1].address: ", (m) => (m.targets.wasm!["weights"][1].address = 131114)],
  "addresses that overlap": ["targets.wasm.weights: ", (m) => (m.targets.wasm!["weights"][1].address = 131108)],
  "a conversion that hosts lack": [
    "targets.wasm.weights[1].dtype: ",
    (m) => (m.targets.wasm!["weights"][1].dtype = "int32"),
  ],
  "a thread's bytes of an unknown symbol": [
    "targets.wasm.entries[0].thread_bytes: ",
    (m) => Object.assign((m.targets.wasm!["entries"] as object[])[0]!, { thread_bytes: "m" }),
  ],
  "programs that are missing": ["targets.wasm.entries: ", (m) => (m.targets.wasm!["entries"] = [])],
  "no variant": ["targets.wasm.variants: ", (m) => (m.targets.wasm!["variants"] = [])],
  "no variant for all": ["targets.wasm.variants: ", (m) => m.targets.wasm!["variants"][0].requires.push("x")],
  "a variant that needs limits": ["targets.webgpu.variants: ", (m) => (variant(m).limits.maxBufferSize = 1)],
  "a weight askew": ["targets.webgpu.weights[1].offset: ", (m) => (m.targets.webgpu!["weights"][1].offset = 128)],
  "a weight past its buffer": [
    "targets.webgpu.weights[1].offset: ",
    (m) => (m.targets.webgpu!["weights"][1].offset = 512),
  ],
  "weights that overlap": ["targets.webgpu.buffers[0]: ", (m) => (m.targets.webgpu!["weights"][1].offset = 0)],
  "a GPU dtype": ["targets.webgpu.weights[0].dtype: ", (m) => (m.targets.webgpu!["weights"][0].dtype = "int16")],
  "float32 as float16 on the GPU": [
    "targets.webgpu.weights[1].dtype: ",
    (m) => (m.targets.webgpu!["weights"][1].dtype = "float16"),
  ],
  "a limit that is no number": ["targets.webgpu.variants[0].limits.a: ", (m) => (variant(m).limits.a = "1")],
  "a shader past its file": ["targets.webgpu.variants[0].shaders[0]: ", (m) => (variant(m).shaders[0].bytes = 11)],
  "a binding's name": [
    "targets.webgpu.variants[0].shaders[0].bindings[0]: ",
    (m) => (variant(m).shaders[0].bindings[0] = "write"),
  ],
  "too many bindings": [
    "targets.webgpu.variants[0].shaders[0].bindings: ",
    (m) => (variant(m).shaders[0].bindings = Array(9).fill("read")),
  ],
  "a shader without words": ["targets.webgpu.variants[0].shaders[0].words: ", (m) => (variant(m).shaders[0].words = 0)],
  "an input's arena": [
    "targets.webgpu.variants[0].entries[0].inputs[0].arena: ",
    (m) => (program(m).inputs[0].arena = 2),
  ],
  "an input's dtype": [
    "targets.webgpu.variants[0].entries[0].inputs[0].dtype: ",
    (m) => (program(m).inputs[0].dtype = "int32"),
  ],
  "an output too few": ["targets.webgpu.variants[0].entries[0].outputs: ", (m) => (program(m).outputs = [])],
  "an unknown command": ["targets.webgpu.variants[0].entries[0].commands[0].op: ", (m) => (dispatch(m).op = "leap")],
  "an unknown shader": ["targets.webgpu.variants[0].entries[0].commands[0].shader: ", (m) => (dispatch(m).shader = 1)],
  "a binding too few": [
    "targets.webgpu.variants[0].entries[0].commands[0].bindings: ",
    (m) => dispatch(m).bindings.pop(),
  ],
  "a binding of three": [
    "targets.webgpu.variants[0].entries[0].commands[0].bindings[0]: ",
    (m) => dispatch(m).bindings[0].pop(),
  ],
  "read and written": [
    "targets.webgpu.variants[0].entries[0].commands[0].bindings[2]: ",
    (m) => (dispatch(m).bindings[2][1] = 0),
  ],
  "weights written": [
    "targets.webgpu.variants[0].entries[0].commands[0].bindings[2]: ",
    (m) => ((dispatch(m).bindings[2][0] = "weights"), (dispatch(m).bindings[2][1] = 0)),
  ],
  "no infinity": ["targets.webgpu.variants[0].entries[0].commands[0].words: ", (m) => (dispatch(m).words[0] = 0)],
  "a copy within": ["targets.webgpu.variants[0].entries[0].commands[1]: ", (m) => (program(m).commands[1].to[1] = 0)],
  "a copy to weights": [
    "targets.webgpu.variants[0].entries[0].commands[1].to: ",
    (m) => (program(m).commands[1].to = ["weights", 0, 0]),
  ],
  "a jump past the end": [
    "targets.webgpu.variants[0].entries[0].commands[3].to: ",
    (m) => program(m).commands.push({ op: "jump", to: 5 }),
  ],
  "a jump on nothing": [
    "targets.webgpu.variants[0].entries[0].commands[3].unless: ",
    (m) => program(m).commands.push({ op: "jump", to: 0, unless: "k" }),
  ],
  "an input's symbol set": [
    "targets.webgpu.variants[0].entries[0].commands[3].symbol: ",
    (m) => program(m).commands.push({ op: "set", symbol: "n", value: 1 }),
  ],
  "an input's symbol read": [
    "targets.webgpu.variants[0].entries[0].commands[3].symbol: ",
    (m) => program(m).commands.push({ op: "read", symbol: "n", from: ["arena", 1, 0], dtype: "int32" }),
  ],
  "a weight read": [
    "targets.webgpu.variants[0].entries[0].commands[3].from: ",
    (m) => program(m).commands.push({ op: "read", symbol: "k", from: ["weights", 0, 0], dtype: "int32" }),
  ],
  "a read of a float": [
    "targets.webgpu.variants[0].entries[0].commands[3].dtype: ",
    (m) => program(m).commands.push({ op: "read", symbol: "k", from: ["arena", 1, 0], dtype: "float32" }),
  ],
  "an arena of the program's own symbol": [
    "targets.webgpu.variants[0].entries[0].arenas: ",
    (m) => {
      program(m).commands.push({ op: "set", symbol: "k", value: 1 });
      program(m).arenas[0] = "k";
    },
  ],
  "a fill of unknown bytes": [
    "targets.webgpu.variants[0].entries[0].commands[2].bytes: ",
    (m) => (program(m).commands[2].bytes = "m"),
  ],
};

for (const [name, [path, damage]] of Object.entries(WRONG)) {
  test(name, () => {
    const manifest = valid();
    damage(manifest);
    assert.throws(
      () => parseManifest(JSON.stringify(manifest)),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "pack-invalid", error.message);
        assert.ok(error.message.startsWith(`pack.json: ${path}`), error.message);
        return true;
      },
    );
  });
}

test("what is newer says so", () => {
  for (const damage of [
    (m: Draft) => (m.format = 1),
    (m: Draft) => m.requires.push("paging"),
    (m: Draft) => (m.targets.wasm!["abi"] = 2),
    (m: Draft) => (m.targets.wasm!["pointer_bits"] = 64),
  ]) {
    const manifest = valid();
    damage(manifest);
    assert.throws(() => parseManifest(JSON.stringify(manifest)), { code: "pack-version", message: /update pyruntime/ });
  }
});

for (const json of ["", "null", "[]", "<!doctype html>", "{", '{"format": 0}']) {
  test(`${JSON.stringify(json)} is no manifest`, () => {
    assert.throws(() => parseManifest(json), { code: "pack-invalid" });
  });
}
