// Sessions on Wasm in Node, without a Worker: results, feeds, queues, disposal, errors.

import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import { load, type Results, type Tensor } from "../src/index.ts";
import { casesOf, feedsOf, makePacks, numbersOf, unavailable } from "./packs.ts";

describe("sessions", { skip: unavailable && `${unavailable} is not there` }, () => {
  const packs = unavailable ? "" : makePacks();
  const affine = join(packs, "affine");
  const x = { data: new Float32Array(8).fill(1), shape: [2, 4] };

  for (const name of ["affine", "dtypes", "double", "team"]) {
    test(`cases of ${name}`, { skip: name === "dtypes" && typeof Float16Array === "undefined" }, async () => {
      for (const each of casesOf(packs, name)) {
        const session = await load(join(packs, name), { entry: each.entry });
        const expected = structuredClone(each.outputs);
        for (const output of Object.values(expected)) output.data.forEach((v, i) => (output.data[i] = Number(v)));
        assert.deepEqual(numbersOf(await session.run(feedsOf(each))), expected);
        session.dispose();
      }
    });
  }

  test("what a session tells", async () => {
    const session = await load(pathToFileURL(affine), { entry: "stretch" });
    assert.deepEqual(session.inputs, [
      { name: "x", dtype: "float32", shape: ["n"] },
      { name: "factor", dtype: "float32", shape: [] },
    ]);
    assert.deepEqual(session.outputs, [{ name: "y", dtype: "float32", shape: ["2 * n"] }]);
    assert.equal(session.device, "wasm");
    assert.match(session.report.reason, /navigator\.gpu is missing/);
    assert.deepEqual(session.report.steps, ["clear", "scale"]);
    assert.ok(session.report.bytesLoaded > 0);
    assert.equal(session.report.weightsBytes, 60);
    assert.ok(session.report.memoryBytes >= 131072 + 60);
    assert.equal(session.report.threads, 1);
    assert.equal(session.report.threadsReason, "the pack has no steps that are worth sharing");
  });

  test("what each step takes", async () => {
    const session = await load(affine);
    const { steps, runs, clock } = await session.profile({ x }, { seconds: 0.01 });
    assert.deepEqual(steps.map(({ step }) => step), session.report.steps);
    assert.ok(steps.every(({ calls, milliseconds }) => calls === 1 && milliseconds >= 0 && milliseconds < 1000));
    assert.ok(runs >= 3);
    assert.equal(clock, "performance.now");
    await assert.rejects(session.profile({}), { code: "input", message: /"x" is missing/ });
    await assert.rejects(session.profile({ x }, { signal: AbortSignal.abort(new Error("enough")) }), /enough/);
  });

  test("one thread in Node", async () => {
    const { report } = await load(join(packs, "team"), { threads: 4 });
    assert.equal(report.threads, 1);
    assert.equal(report.threadsReason, "there are no Workers here");
    assert.deepEqual(report.variant, []);
    await assert.rejects(load(join(packs, "team"), { threads: 0 }), { code: "device", message: /1 to 64 threads/ });
  });

  test("assets", async () => {
    const session = await load(affine);
    assert.deepEqual(session.assets, ["words.txt", "empty"]);
    const words = new TextDecoder().decode(await session.asset("words.txt"));
    assert.equal(words, "ein kleines Boot\n小船\n".repeat(1000));
    assert.equal((await session.asset("empty")).length, 0);
    await assert.rejects(session.asset("tokenizer.json"), { code: "input", message: /assets: words\.txt, empty$/ });
    await assert.rejects(session.asset("words.txt", { signal: AbortSignal.abort() }), { name: "AbortError" });
  });

  test("damaged and missing assets", async () => {
    const copy = join(packs, "damaged-assets");
    cpSync(affine, copy, { recursive: true });
    const session = await load(copy);
    const manifest = JSON.parse(readFileSync(join(copy, "pack.json"), "utf8")) as { assets: { file: string }[] };
    const file = join(copy, manifest.assets[0]!.file);
    writeFileSync(file, readFileSync(file).fill(65, 0, 1));
    await assert.rejects(session.asset("words.txt"), { code: "pack-hash" });
    rmSync(file);
    await assert.rejects(session.asset("words.txt"), { code: "pack-missing-file" });
  });

  test("inputs that need not be fed", async () => {
    const session = await load(join(packs, "dtypes"));
    assert.equal(session.inputs[0]!.default, undefined);
    assert.equal(session.inputs[1]!.default, 1);
    const { int64_out } = await session.run({ bool_in: { data: new Uint8Array(2), shape: [2] } });
    assert.deepEqual(int64_out!.data, BigInt64Array.of(2n, 2n));
  });

  test("integers of 64 bits", async () => {
    const whole = join(packs, "dtypes");
    const [first] = casesOf(packs, "dtypes");
    const feeds = feedsOf(first!);
    const session = await load(whole);
    const numbers = await load(whole, { int64: "number" });
    const expected = first!.outputs["int64_out"]!.data;
    for (const data of [
      Int32Array.from(first!.feeds["int64_in"]!.data),
      BigInt64Array.from(first!.feeds["int64_in"]!.data, BigInt),
    ]) {
      const given = { ...feeds, int64_in: { data, shape: [data.length] } };
      const { int64_out } = await session.run(given);
      assert.deepEqual(int64_out!.data, BigInt64Array.from(expected, BigInt));
      assert.deepEqual((await numbers.run(given))["int64_out"]!.data, expected);
    }
    const large = (value: number | bigint) => ({ ...feeds, int64_in: { data: [value], shape: [1] } });
    assert.equal((await session.run(large(2n ** 62n)))["int64_out"]!.data[0], 2n ** 62n + 1n);
    await assert.rejects(numbers.run(large(2n ** 62n)), { code: "run", message: /int64: "bigint"/ });
    for (const value of [0.5, 2 ** 53, NaN, 2n ** 63n]) {
      await assert.rejects(session.run(large(value)), { code: "input", message: /int64_in.*exact integers/ });
    }
    await assert.rejects(session.run({ ...feeds, uint64_in: { data: [-1], shape: [1] } }), { code: "input" });
    await assert.rejects(session.run({ ...feeds, bool_in: { data: Uint8Array.of(2), shape: [1] } }), { code: "input" });
  });

  test("feeds may be views, of shared memory too", async () => {
    const session = await load(affine);
    const expected = (await session.run({ x }))["y"]!;
    const shared = new Float32Array(new SharedArrayBuffer(64), 16, 8).fill(1);
    for (const data of [new Float32Array(20).fill(1).subarray(3, 11), shared]) {
      assert.deepEqual((await session.run({ x: { data, shape: [2, 4] } }))["y"], expected);
    }
  });

  test("lists of tensors", async () => {
    const folder = join(packs, "lists");
    cpSync(affine, folder, { recursive: true });
    const file = join(folder, "pack.json");
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    manifest.requires = ["lists"];
    manifest.entries.find((entry: { name: string }) => entry.name === "stretch").lists = [
      { name: "gone", of: "inputs", first: 0 },
      { name: "both", of: "inputs", first: 0, length: 2 },
      { name: "none", of: "outputs", first: 0, length: 0 },
      { name: "made", of: "outputs", first: 0, length: 1 },
      { name: "lost", of: "outputs", first: 1 },
    ];
    writeFileSync(file, JSON.stringify(manifest));
    const session = await load(folder, { entry: "stretch" });
    assert.equal(session.lists.length, 5);
    const both = [
      { data: Float32Array.of(1, 2), shape: [2] },
      { data: Float32Array.of(3), shape: [] },
    ];
    const plain = await load(affine, { entry: "stretch" });
    const { y } = await plain.run({ x: both[0]!, factor: both[1]! });
    const expected = { none: [], made: [y!], lost: null };
    const made = await session.run<Results>({ both });
    assert.deepEqual(made, expected);
    assert.deepEqual(await session.run({ gone: null, x: both[0]!, factor: both[1]! }), expected);
    assert.deepEqual(await session.run<Results>({ both }, { outputs: ["lost", "made"], recycle: made }), {
      lost: null,
      made: [y!],
    });
    assert.equal((made["made"] as Tensor[])[0]!.data.length, 0);
    for (const [feeds, message] of [
      [{ both: both[0]! }, /"both": expected an array of 2 tensors, got object/],
      [{ both: both.slice(1) }, /"both": expected an array of 2 tensors, got 1/],
      [{ both: null }, /"both": expected an array of 2 tensors/],
      [{ both, gone: [both[0]!] }, /"gone": expected nothing: it is absent in this pack, got 1/],
      [{}, /"x" is missing/],
    ] as const)
      await assert.rejects(session.run(feeds), { code: "input", message });
    await assert.rejects(session.run({ both }, { outputs: ["y2"] }), { code: "input", message: /no output "y2"/ });
    session.dispose();
    plain.dispose();
  });

  test("outputs are copies, and any choice of them", async () => {
    const session = await load(affine);
    const first = (await session.run({ x }, { outputs: ["y", "y"] }))["y"]!;
    const kept = Float32Array.from(first.data as Float32Array);
    await session.run({ x: { data: new Float32Array(8).fill(9), shape: [2, 4] } });
    assert.deepEqual(first.data, kept);
    assert.deepEqual(await session.run({ x }, { outputs: [] }), {});
    await assert.rejects(session.run({ x }, { outputs: ["z"] }), { code: "input", message: /outputs: y/ });
  });

  test("memory of outputs that are no longer needed is taken where it fits", async () => {
    const session = await load(affine);
    const expected = await session.run({ x });
    const first = await session.run({ x });
    const second = await session.run({ x }, { recycle: first });
    assert.deepEqual(second, expected);
    assert.equal(first["y"]!.data.length, 0);
    const part = { y: { ...second["y"]!, data: (second["y"]!.data as Float32Array).subarray(1) } };
    for (const recycle of [first, part, {}]) assert.deepEqual(await session.run({ x }, { recycle }), expected);
    const larger = { data: new Float32Array(12).fill(1), shape: [3, 4] };
    assert.deepEqual((await session.run({ x: larger }, { recycle: second }))["y"]!.shape, [3, 3]);
    assert.deepEqual(second, expected);
  });

  test("memory that is taken may be fed to the same run", async () => {
    const session = await load(join(packs, "dtypes"));
    const bool_in = { data: new Uint8Array(3), shape: [3] };
    let made = await session.run({ bool_in });
    for (let i = 0; i < 3; i++) made = await session.run({ bool_in, int64_in: made["int64_out"]! }, { recycle: made });
    assert.deepEqual(made["int64_out"]!.data, new BigInt64Array(3).fill(5n));
  });

  test("runs queue, and a failed one does not stop the next", async () => {
    const session = await load(affine);
    const sizes = [3, 1, 700, 2, 3];
    const runs = sizes.map((n) => session.run({ x: { data: new Float32Array(4 * n), shape: [n, 4] } }));
    const failing = session.run({ x: { data: new Float32Array(3), shape: [3] } });
    const last = session.run({ x });
    await assert.rejects(failing, { code: "input" });
    assert.deepEqual(
      (await Promise.all(runs)).map(({ y }) => y!.shape[0]),
      sizes,
    );
    assert.deepEqual((await last)["y"]!.shape, [2, 3]);
  });

  test("disposal", async () => {
    const session = await load(affine);
    const pending = session.run({ x });
    session.dispose();
    session.dispose();
    await assert.rejects(pending, { code: "disposed" });
    await assert.rejects(session.run({ x }), { code: "disposed" });
  });

  test("traps name the step, and the next run has a new instance", async () => {
    const session = await load(affine, { entry: "trap" });
    const feeds = { x: { data: new Float32Array(1), shape: [1] }, factor: { data: new Float32Array(1), shape: [] } };
    for (let i = 0; i < 3; i++) await assert.rejects(session.run(feeds), { code: "run", message: /step 0 \(trap\)/ });
  });

  test("aborts", async () => {
    const session = await load(affine);
    const abort = new AbortController();
    const pending = session.run({ x }, { signal: abort.signal });
    abort.abort(new RangeError("enough"));
    await assert.rejects(pending, RangeError);
    assert.deepEqual((await session.run({ x }))["y"]!.shape, [2, 3]);
    await assert.rejects(load(affine, { signal: AbortSignal.abort() }), { name: "AbortError" });
  });

  test("what is not there", async () => {
    await assert.rejects(load(join(packs, "none")), { code: "pack-missing-file", message: /pack\.json/ });
    await assert.rejects(load(affine, { entry: "none" }), { code: "input", message: /main, stretch, trap/ });
    await assert.rejects(load(affine, { device: "webgpu" }), { code: "device", message: /navigator\.gpu/ });
    await assert.rejects(load(affine, { worker: true }), { code: "device", message: /Worker/ });
    await assert.rejects(load(affine, { device: "tpu" as "wasm" }), { code: "device", message: /tpu/ });
    await assert.rejects(load(join(packs, "double"), { device: "webgpu" }), {
      code: "device",
      message: /no webgpu target/,
    });
  });

  test("a module that claims more than there is", async () => {
    const damaged = join(packs, "damaged");
    cpSync(affine, damaged, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(damaged, "pack.json"), "utf8"));
    manifest.targets.wasm.weights[0].address = 2 ** 32 - 64;
    writeFileSync(join(damaged, "pack.json"), JSON.stringify(manifest));
    await assert.rejects(load(damaged), { code: "memory", message: /4294967/ });
  });
});
