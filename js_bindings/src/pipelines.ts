// Compiles the shaders that a WebGPU program uses, in parallel, once for equal ones.

import { messageOf, RunError } from "./errors.ts";
import { COMPUTE, guard, offers } from "./gpu.ts";
import type { GpuEntry, GpuVariant, Shader } from "./manifest.ts";

/** A shader's pipeline; its bind group layout has the bindings, then the uniform words. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly access: Shader["bindings"];
}

/** Pipelines by the shader's number; nothing for a shader that the entry does not use. */
export type Pipelines = readonly (Pipeline | undefined)[];

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
  { name, bindings }: Shader,
  code: string,
  layout: GPUBindGroupLayout,
): Promise<Pipeline> {
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
    return { pipeline, layout, access: bindings };
  } catch (error) {
    const { messages } = await module.getCompilationInfo();
    const lines = messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
    throw new RunError(`shader ${name} does not compile: ${lines.join("; ") || messageOf(error)}`);
  }
}

/** Pipelines for a program, from the bytes of the variant's file. */
export async function makePipelines(
  device: GPUDevice,
  variant: GpuVariant,
  program: GpuEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Pipelines> {
  const used = new Set(program.commands.map((command) => (command.op === "dispatch" ? command.shader : -1)));
  const layouts = new Map<string, GPUBindGroupLayout>();
  const made = new Map<string, Promise<Pipeline>>();
  const decoder = new TextDecoder();
  return Promise.all(
    variant.shaders.map((shader, i) => {
      if (!used.has(i)) return undefined;
      const code = decoder
        .decode(bytes.subarray(shader.offset, shader.offset + shader.bytes))
        .replace(SECTION, (_, name: string, part: string, other: string) => (offers(device, name) ? part : other));
      const how = shader.bindings.join();
      const layout = layouts.get(how) ?? layoutOf(device, shader);
      layouts.set(how, layout);
      // the code declares its bindings, too
      const pipeline = made.get(code) ?? compile(device, shader, code, layout);
      made.set(code, pipeline);
      return pipeline;
    }),
  );
}
