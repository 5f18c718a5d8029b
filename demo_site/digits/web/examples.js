// A digit of each kind as pen strokes, for visitors without a pointer, for the first impression, and for the checks.

// corner points on a grid of 100 x 100; a point that stands twice is a sharp corner
const CORNERS = [
  [[50, 12, 32, 20, 23, 50, 32, 80, 50, 88, 68, 80, 77, 50, 68, 20, 50, 12]],
  [[36, 30, 54, 12, 54, 12, 54, 88]],
  [[26, 32, 34, 16, 52, 11, 70, 20, 72, 38, 58, 56, 40, 72, 24, 88, 24, 88, 78, 88]],
  [[26, 20, 44, 11, 66, 16, 70, 32, 58, 45, 44, 48, 44, 48, 64, 54, 74, 70, 64, 85, 42, 89, 24, 80]],
  [[54, 12, 24, 62, 24, 62, 80, 62], [62, 36, 62, 90]],
  [[34, 12, 30, 46, 30, 46, 50, 40, 70, 50, 74, 68, 62, 86, 40, 89, 24, 80], [34, 12, 74, 12]],
  [[64, 12, 42, 28, 28, 54, 28, 76, 44, 89, 64, 86, 73, 70, 64, 54, 46, 52, 30, 64]],
  [[24, 14, 76, 14, 76, 14, 58, 46, 44, 88]],
  [[68, 24, 50, 12, 33, 21, 36, 37, 52, 48, 70, 62, 70, 80, 50, 89, 30, 80, 31, 62, 50, 48, 66, 38, 68, 24]],
  [[70, 32, 58, 14, 40, 14, 28, 30, 36, 47, 54, 50, 68, 38, 71, 24, 71, 24, 70, 60, 62, 89]],
];
const STEPS = 6; // points per piece of a curve

/** @returns {{x: number, y: number}[][]} the strokes of a digit, in 0 to 1, y downwards. */
export function example(digit) {
  return CORNERS[digit].map((numbers) => smooth(pairs(numbers)));
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
