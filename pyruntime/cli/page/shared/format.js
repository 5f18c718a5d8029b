// How numbers and elements are written on the page.

/** Two digits at least: 0.42 ms, 3.1 ms, 57 ms, 1.3 s. */
export function milliseconds(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** Decimal units: 812 B, 45.3 kB, 1.28 MB, 45.1 MB. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)} MB`;
}

/** The element of this id. */
export const find = (id) => document.getElementById(id);

/** An element with text, classes and attributes. */
export function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Fills a bar as far as a share; without one it only moves. */
export function showShare(bar, share) {
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
}
