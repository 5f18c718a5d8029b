// ONNX Runtime Web on WebGPU, by the bundle for that.
import * as ort from "onnxruntime-web/webgpu";
import { opener } from "../onnxruntime.js";

export const open = opener(ort);
