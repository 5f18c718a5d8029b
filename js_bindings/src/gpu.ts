// Gets a WebGPU device for a pack: adapter, features, limits, and the variant that they allow.

import { DeviceError, messageOf, MemoryLimitError, type PyRuntimeError } from "./errors.ts";
import type { GpuTarget, GpuVariant } from "./manifest.ts";

/** A device, and the variant of the pack that it runs. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly variant: GpuVariant;
  /** Vendor and architecture, for the report. */
  readonly name: string;
  /** Lets go of a device that was made here, which goes with its last session; a user's own stays. */
  readonly release?: () => void;
}

/** What devices and adapters tell of themselves. */
interface Offer {
  readonly features: ReadonlySet<string>;
  readonly limits: object;
}

/** A device that was made here, with what was asked for, and the sessions that share it. */
interface Shared extends Offer {
  readonly made: Promise<GPUDevice>;
  readonly holders: Set<object>;
}

/** Flags of WebGPU buffers, by the specification's numbers: TypeScript's DOM library lacks the namespaces. */
export const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;
/** GPUMapMode.READ. */
export const MAP_READ = 1;
/** GPUShaderStage.COMPUTE. */
export const COMPUTE = 4;

/** What packs may use. A device has it whatever its first pack does, since the next one may. */
const FEATURES = ["shader-f16", "subgroups"];
/** Those of this thread. */
const devices = new Set<Shared>();

/** Whether the GPU, or the browser's WGSL, has a feature. */
export const offers = ({ features }: Offer, name: string): boolean =>
  features.has(name) || !!globalThis.navigator?.gpu?.wgslLanguageFeatures?.has(name);

/** Names of what a variant needs and the adapter or device lacks. */
function missing({ requires, limits }: GpuVariant, has: Offer): string[] {
  const offered = has.limits as Readonly<Record<string, number | undefined>>;
  return [
    ...requires.filter((name) => !offers(has, name)),
    ...Object.keys(limits)
      .filter((name) => !(offered[name]! >= limits[name]!))
      .map((name) => `${name} of ${limits[name]}`),
  ];
}

function pick({ variants }: GpuTarget, has: Offer): GpuVariant {
  const variant = variants.find((each) => !missing(each, has).length);
  if (variant) return variant;
  throw new DeviceError(`the GPU lacks ${missing(variants.at(-1)!, has).join(", ")}, which the pack needs`);
}

const nameOf = ({ info }: GPUAdapter | { info?: GPUAdapterInfo }): string =>
  [info?.vendor, info?.architecture].filter(Boolean).join(" ") || "of unknown make";

/** Makes a device for a variant and, as far as the adapter goes, for those of other packs. */
function make(adapter: GPUAdapter, { requires, limits: least }: GpuVariant): Shared {
  // memory as far as it goes, since sizes may depend on a model's inputs
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const limits = { ...least, maxBufferSize, maxStorageBufferBindingSize };
  const wanted = [...FEATURES, ...requires] as GPUFeatureName[];
  const features = new Set(wanted.filter((name) => adapter.features.has(name)));
  const made = adapter.requestDevice({
    label: "pyruntime",
    requiredFeatures: [...features],
    requiredLimits: limits,
  });
  const shared = { made, features, limits, holders: new Set<object>() };
  devices.add(shared);
  return shared;
}

/**
 * A device for the pack: the user's, one that other sessions have, or a new one.
 *
 * @param software whether a software adapter will do.
 * @throws DeviceError that says what is missing.
 */
export async function acquireGpu(target: GpuTarget, software: boolean, device?: GPUDevice): Promise<Gpu> {
  if (device) {
    const info = device.adapterInfo as GPUAdapterInfo | undefined; // newer than WebGPU itself
    return { device, variant: pick(target, device), name: nameOf({ ...(info && { info }) }) };
  }
  const gpu = globalThis.navigator?.gpu as GPU | undefined;
  if (!gpu)
    throw new DeviceError("navigator.gpu is missing: no browser, an old one, or a page without https");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new DeviceError("there is no WebGPU adapter: the GPU or its driver is blocked");
  const fallback = adapter.info?.isFallbackAdapter ?? (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter;
  if (fallback && !software) throw new DeviceError("the only WebGPU adapter is software");
  const variant = pick(target, adapter);
  const shared = [...devices].find((each) => !missing(variant, each).length) ?? make(adapter, variant);
  const holder = {};
  const forget = (): boolean => devices.delete(shared);
  shared.holders.add(holder);
  try {
    const made = await shared.made;
    void made.lost.then(forget);
    const release = (): void => {
      if (shared.holders.delete(holder) && !shared.holders.size) {
        forget();
        made.destroy();
      }
    };
    return { device: made, variant, name: nameOf(adapter), release };
  } catch (error) {
    forget();
    throw new DeviceError(`WebGPU gives no device: ${messageOf(error)}`);
  }
}

/**
 * Does something on the device, and catches what WebGPU only reports later.
 *
 * @returns what `action` returned, and a promise that rejects with MemoryLimitError or an error of `Invalid`.
 */
export function guard<T>(
  device: GPUDevice,
  what: string,
  Invalid: new (message: string) => PyRuntimeError,
  action: () => T,
): [result: T, checked: Promise<void>] {
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  // scopes are popped at once: a user's device is shared, and an await would let others' errors in
  const check = async (memory: Promise<GPUError | null>, validation: Promise<GPUError | null>): Promise<void> => {
    const [full, invalid] = await Promise.all([memory, validation]);
    if (full) throw new MemoryLimitError(`${what}: the GPU is out of memory: ${full.message}`);
    if (invalid) throw new Invalid(`${what}: ${invalid.message}`);
  };
  let checked: Promise<void> | undefined;
  try {
    const result = action();
    return [result, (checked = check(device.popErrorScope(), device.popErrorScope()))];
  } finally {
    checked ??= check(device.popErrorScope(), device.popErrorScope()); // action threw: that error goes up
    checked.catch(() => undefined);
  }
}
