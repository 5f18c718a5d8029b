// The spectrogram: a column for each frame, the newest at the right, and under it what each was heard as.

const QUIETEST = -0.9; // what is darkest, in the units of the bands
const LOUDEST = 2.4;
const COLOURS = {
  dark: ["#11131c", "#2b2266", "#7a4fd6", "#e0638f", "#ffb36b", "#fff6cf"],
  light: ["#f8f9fc", "#d9d4f7", "#8f82ea", "#7a2f9e", "#451058", "#1a0420"],
};
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class Picture {
  #canvas;
  #strip;
  #bands;
  #colours; // of the classes; the first, quiet, has none
  #frames = [];
  #asked = 0;
  #palette;
  /** How many frames were drawn so far. */
  drawn = 0;

  /** @param {HTMLCanvasElement} canvas as many pixels high as there are bands @param {HTMLCanvasElement} strip as wide */
  constructor(canvas, strip, bands, colours) {
    this.#canvas = canvas;
    this.#strip = strip;
    this.#bands = bands;
    this.#colours = colours;
    canvas.height = bands;
    DARK.addEventListener("change", () => this.#theme());
    this.#theme();
  }

  /** Adds a frame: loudness by band, and the class that it is. */
  add(bands, best) {
    this.#frames.push({ bands: bands.slice(), best });
    if (this.#frames.length > this.#canvas.width) this.#frames.shift();
    this.#ask();
  }

  #theme() {
    this.#palette = palette(COLOURS[DARK.matches ? "dark" : "light"]);
    this.#ask();
  }

  #ask() {
    this.#asked ||= requestAnimationFrame(() => {
      this.#asked = 0;
      this.#paint();
    });
  }

  #paint() {
    const { width, height } = this.#canvas;
    const pixels = new ImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer).fill(this.#palette[0]);
    const strip = this.#strip.getContext("2d");
    strip.clearRect(0, 0, width, 1);
    this.#frames.forEach(({ bands, best }, i) => {
      const x = width - this.#frames.length + i;
      for (let band = 0; band < this.#bands; band++) {
        const share = Math.min(Math.max((bands[band] - QUIETEST) / (LOUDEST - QUIETEST), 0), 1);
        words[(height - 1 - band) * width + x] = this.#palette[Math.round(share * 255)];
      }
      if (!best) return;
      strip.fillStyle = this.#colours[best];
      strip.fillRect(x, 0, 1, 1);
    });
    this.#canvas.getContext("2d").putImageData(pixels, 0, 0);
    this.drawn = this.#frames.length;
  }
}

/** 256 colours between these, as the words of ImageData. */
function palette(stops) {
  const parts = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const from = Math.min(Math.floor(place), stops.length - 2);
    const [r, g, b] = parts[from].map((part, c) => Math.round(part + (parts[from + 1][c] - part) * (place - from)));
    return (255 << 24) | (b << 16) | (g << 8) | r; // little-endian, as every browser's processor is
  });
}
