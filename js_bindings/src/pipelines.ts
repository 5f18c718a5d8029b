// Compiles the shaders that a WebGPU program needs, in parallel.

import { messageOf, RunError } from "./errors.ts";
import { COMPUTE, guard, offers } from "./gpu.ts";
import type { GpuVariant, Shader } from "./manifest.ts";

/** A shader's pipeline; its bind group layout has the bindings, then the uniform words. */
export interface Pipeline {
  /** Rejects with RunError for a shader that does not compile. */
  readonly made: Promise<GPUComputePipeline>;
  readonly layout: GPUBindGroupLayout;
  readonly access: Shader["bindings"];
}

/** The pipeline of a shader by its number, which begins to be made when it is first asked for. */
export type Pipelines = (shader: number) => Pipeline;

/** Parts of a shader that hang on a feature: what is compiled with it, and what without. */
const SECTION = /\/\/# if (.+)\n([^]*?)\/\/# else\n([^]*?)\/\/# end\n/g;
const TYPES = { read: "read-only-storage", read_write: "storage" } as const;

function layoutOf(device: GPUDevice, { bindings }: Shader): GPUBindGroupLayout {
  const buffers: GPUBufferBindingLayout[] = [...bindings.map((how) => ({ type: TYPES[how] })), { type: "uniform" }];
  return device.createBindGroupLayout({
    entries: buffers.map((buffer, binding) => ({ binding, visibility: COMPUTE, buffer })),
  });
}

async function compile(
  device: GPUDevice,
  { name }: Shader,
  code: string,
  layout: GPUBindGroupLayout,
): Promise<GPUComputePipeline> {
  const [[module, making], checked] = guard(device, `shader ${name}`, RunError, () => {
    const module = device.createShaderModule({ label: name, code });
    const made = device.createComputePipelineAsync({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    return [module, made] as const;
  });
  try {
    const pipeline = await making;
    await checked;
    return pipeline;
  } catch (error) {
    const { messages } = await module.getCompilationInfo();
    const lines = messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
    throw new RunError(`shader ${name} does not compile: ${lines.join("; ") || messageOf(error)}`);
  }
}

/** Pipelines from the bytes of the variant's file. */
export function makePipelines(device: GPUDevice, { shaders }: GpuVariant, bytes: Uint8Array<ArrayBuffer>): Pipelines {
  const known: Pipeline[] = [];
  const decoder = new TextDecoder();
  return (number) => {
    if (known[number]) return known[number];
    const shader = shaders[number]!;
    const code = decoder
      .decode(bytes.subarray(shader.offset, shader.offset + shader.bytes))
      .replace(SECTION, (_, name: string, part: string, other: string) => (offers(device, name) ? part : other));
    const layout = layoutOf(device, shader);
    const made = compile(device, shader, code, layout);
    made.catch(() => undefined); // who waits for it is told
    return (known[number] = { made, layout, access: shader.bindings });
  };
}
