// Errors: the codes of Python's errors, and the way through a worker's boundary.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as errors from "../src/errors.ts";

/** What only converting a model, or waiting in Python, can raise. */
const OF_PYTHON = [
  "ModelError",
  "OptionError",
  "UnsupportedError",
  "UnsupportedNodesError",
  "CompilerError",
  "BlockingError",
];

test("every error has the code that it has in Python", () => {
  const python = readFileSync(new URL("../../pyruntime/errors.py", import.meta.url), "utf8");
  let found = 0;
  let code = "";
  for (const [, name = "", body = ""] of python.matchAll(/^class (\w+)\(.*?\):\n(.*?)(?=^class |(?![\s\S]))/gms)) {
    code = /^ {4}code = "(.*)"/m.exec(body)?.[1] ?? code;
    if (OF_PYTHON.includes(name)) continue;
    const Class = (errors as unknown as Record<string, typeof errors.PyRuntimeError>)[name];
    assert.ok(Class, name);
    assert.deepEqual({ ...new Class("m"), message: new Class("m").message }, { name, code, message: "m" });
    found++;
  }
  assert.equal(found, 12);
});

test("errors survive being posted", () => {
  const { HashError, PyRuntimeError, RunError, StateError, PackError, DeviceError, DeviceLostError } = errors;
  for (const Class of [HashError, PyRuntimeError, RunError, StateError, PackError, DeviceError, DeviceLostError]) {
    const back = errors.unpackError(structuredClone(errors.packError(new Class("why"))));
    assert.equal(back.constructor, Class);
    assert.equal(back.message, "why");
  }
  const back = errors.unpackError(errors.packError(new TypeError("bug")));
  assert.equal(back.name, "TypeError");
  assert.ok(!(back instanceof errors.PyRuntimeError));
  assert.equal(errors.unpackError(errors.packError(new DOMException("stop", "AbortError"))).name, "AbortError");
});
