// A digit of each kind as pen strokes, for visitors without a pointer, for the first impression, and for the checks.

const STEPS = 6; // points per piece of a curve

/**
 * @param {number[][]} written from strokes.json: for each stroke x and y of its corner points, in turn, on a grid of
 *   100 x 100; one that stands twice is a sharp corner.
 * @returns {{x: number, y: number}[][]} its strokes as curves, in 0 to 1, y downwards.
 */
export function strokesOf(written) {
  return written.map((numbers) => smooth(pairs(numbers)));
}

function pairs(numbers) {
  return Array.from({ length: numbers.length / 2 }, (_, i) => ({ x: numbers[2 * i] / 100, y: numbers[2 * i + 1] / 100 }));
}

/** A Catmull-Rom curve through the points. */
function smooth(points) {
  const at = (i) => points[Math.min(Math.max(i, 0), points.length - 1)];
  const curve = [points[0]];
  for (let i = 0; i + 1 < points.length; i++) {
    if (at(i).x === at(i + 1).x && at(i).y === at(i + 1).y) continue;
    for (let step = 1; step <= STEPS; step++) {
      const bend = (key) => spline(at(i - 1)[key], at(i)[key], at(i + 1)[key], at(i + 2)[key], step / STEPS);
      curve.push({ x: bend("x"), y: bend("y") });
    }
  }
  return curve;
}

function spline(a, b, c, d, t) {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}
