// pack.json: a whole manifest passes, and each wrong field is named by its path.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parseManifest } from "../src/schema.ts";
import { dispatch, type Draft, HASH, program, refused, valid, variant, type Wrong } from "./manifests.ts";

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

test("what must name a tuned GPU is told as elsewhere", () => {
  type Row = { vendor: string; architecture: string; device: string; named: boolean };
  const path = new URL("../../tests/vectors/tuned.json", import.meta.url);
  for (const { named, ...names } of JSON.parse(readFileSync(path, "utf8")) as Row[]) {
    const manifest = valid();
    manifest.targets.webgpu!["tuned"] = [{ file: "tuned.json", bytes: 1, sha256: HASH, ...names }];
    const parsed = () => parseManifest(JSON.stringify(manifest));
    if (named) assert.equal(parsed().targets.webgpu!.tuned.length, 1);
    else assert.throws(parsed, { message: "pack.json: targets.webgpu.tuned[0]: neither a device nor vendor and architecture are named" });
  }
});

const WRONG: Wrong<Draft> = {
  "no format": ["format: ", (m) => Reflect.deleteProperty(m, "format")],
  "a format that is no number": ["format: ", (m) => Object.assign(m, { format: "0" })],
  "no target": ["targets: ", (m) => (m.targets = {} as Draft["targets"])],
  "a tuned GPU without an architecture": [
    "targets.webgpu.tuned[0].architecture: ",
    (m) => (m.targets.webgpu!["tuned"] = [{ file: "tuned.json", bytes: 1, sha256: HASH, vendor: "nvidia" }]),
  ],
  "a tuned GPU's file elsewhere": [
    "targets.webgpu.tuned[0].file: ",
    (m) => (m.targets.webgpu!["tuned"] = [{ file: "../tuned.json", bytes: 1, sha256: HASH, vendor: "nvidia", architecture: "ampere", device: "" }]),
  ],
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

refused("", valid, WRONG);

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
