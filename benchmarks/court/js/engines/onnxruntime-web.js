// ONNX Runtime Web on its Wasm backend, by the smallest of its bundles that has it.
import * as ort from "onnxruntime-web/wasm";
import { opener } from "../onnxruntime.js";

export const open = opener(ort);
