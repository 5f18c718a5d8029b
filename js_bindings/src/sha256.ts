// SHA-256 as lower-case hex: by the platform, or in JavaScript where a page's origin is insecure (plain http).

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The digest of bytes that are not shared memory. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  // typed as always there, but browsers leave it out on insecure origins
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (subtle) return hex(new Uint8Array(await subtle.digest("SHA-256", bytes)));
  const { slowSha256 } = await import("./slow-sha256.ts");
  return hex(slowSha256(bytes));
}
