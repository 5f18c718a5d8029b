// For engines that have no option for more threads than they find processors for.

/** Makes this page have so many processors. */
export function pretend(count) {
  Object.defineProperty(navigator, "hardwareConcurrency", { value: count, configurable: true });
}
