// Turns pen strokes into the 8 x 8 image that the network reads, the way its training images were made.

/** The network's image is SIDE x SIDE. */
export const SIDE = 8;
const FINE = 4; // dots per pixel, each way: the data set counted the inked dots of 4 x 4 blocks
const DOTS = SIDE * FINE;
const WIDTH = 24; // dots that a digit fills, of 32; all fill the height
const INK = 0.3; // share of inked dots: the data set's pens were made equally thick
const ROUNDS = 4; // to find how thick a pen must be that fits the frame and leaves that much ink

/**
 * @param {{x: number, y: number}[][]} strokes points in any unit, y downwards.
 * @returns {Float32Array} SIDE * SIDE values from 0 (paper) to 1 (ink), row by row; all 0 where nothing was drawn.
 */
export function toImage(strokes) {
  const points = strokes.flat();
  const image = new Float32Array(SIDE * SIDE);
  if (!points.length) return image;
  let distances;
  let radius = 3;
  for (let round = 0; round < ROUNDS; round++) {
    const fit = frame(points, radius);
    distances = distancesTo(strokes.map((stroke) => stroke.map(fit)));
    radius = Math.max(distances.toSorted()[Math.floor(distances.length * INK)], 1);
  }
  distances.forEach((distance, dot) => {
    const row = Math.floor(dot / DOTS / FINE);
    const column = Math.floor((dot % DOTS) / FINE);
    // a dot at the pen's edge is partly inked
    image[row * SIDE + column] += Math.min(Math.max(radius - distance + 0.5, 0), 1) / (FINE * FINE);
  });
  return image;
}

/** Maps points so that a pen of this radius fills the frame's height, and its width as far as that looks right. */
function frame(points, radius) {
  const [left, right] = range(points.map(({ x }) => x));
  const [top, bottom] = range(points.map(({ y }) => y));
  const [wide, high] = [right - left, bottom - top];
  const space = { wide: WIDTH - 2 * radius, high: DOTS - 2 * radius };
  const unit = Math.max(wide, high, 1e-6);
  const scaleY = space.high / Math.max(high, unit / 3);
  // digits were stretched to one width, but a 1 stays narrow
  const scaleX = Math.min(space.wide / Math.max(wide, unit * 1e-3), scaleY * STRETCH);
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  return ({ x, y }) => ({ x: DOTS / 2 + (x - middle.x) * scaleX, y: DOTS / 2 + (y - middle.y) * scaleY });
}

const STRETCH = 1.5;

function range(numbers) {
  return [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
}

/** How far the centre of each dot is from the nearest stroke. */
function distancesTo(strokes) {
  const squares = new Float32Array(DOTS * DOTS).fill(Infinity);
  for (const stroke of strokes) {
    for (let i = 0; i < stroke.length; i++) {
      const from = stroke[Math.max(i - 1, 0)]; // the first point counts as a segment without length
      const [dx, dy] = [stroke[i].x - from.x, stroke[i].y - from.y];
      const length = dx * dx + dy * dy;
      for (let dot = 0; dot < squares.length; dot++) {
        const [x, y] = [(dot % DOTS) + 0.5 - from.x, Math.floor(dot / DOTS) + 0.5 - from.y];
        const along = length ? Math.min(Math.max((x * dx + y * dy) / length, 0), 1) : 0;
        const [offX, offY] = [x - along * dx, y - along * dy];
        squares[dot] = Math.min(squares[dot], offX * offX + offY * offY);
      }
    }
  }
  return squares.map(Math.sqrt);
}
