// Types of the platform that an older TypeScript of our users does not know: absent there, themselves elsewhere.

type Known<Name extends string> = typeof globalThis extends Record<Name, { prototype: infer T }> ? T : never;

/** A `GPUDevice`. */
export type GpuDevice = Known<"GPUDevice">;

/** A `Float16Array`. */
export type HalfArray = Known<"Float16Array">;
