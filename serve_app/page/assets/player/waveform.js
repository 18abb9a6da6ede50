// @ts-check
// Draws waveforms, beats and times on canvases.

import { firstFrom } from './beats.js'
import { TILE_PIXELS } from './peaks.js'

/** @typedef {import('./viewport.js').Viewport} Viewport */
/** @typedef {import('./beats.js').Beats} Beats */
/** @typedef {import('./peaks.js').Peaks} Peaks */

/**
 * @typedef {object} Colours
 * @property {string[]} bands low to high
 * @property {string} beat
 * @property {string} bar
 * @property {string} rest the line of silence
 * @property {string} lane behind the sound
 * @property {string} live sound whose bands are not known
 * @property {string} text
 */

// More than the tiles in view.
const SPARE_PICTURES = 3
const FULL_AMPLITUDE = 127
// Quiet sounds are drawn higher than they are, so that a pad can be seen beside a drum.
const CURVE = 0.75
const LEAST_BEAT_PIXELS = 14
const LEAST_LABEL_PIXELS = 90
const LABEL_SECONDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600]

/** The waveform of one stem on its canvas. Tiles are drawn once, and then only moved. */
export class Waveform {
  /** The drawn tiles, the one that was used last at the end. @type {Map<string, OffscreenCanvas>} */
  #pictures = new Map()
  #drawn = ''
  /** The waveform, or null while there is none. @type {import('./peaks.js').StemPeaks | null} */
  peaks = null
  /** What is known until then. @type {import('./live_peaks.js').LivePeaks | null} */
  live = null
  /** The factor of all amplitudes. */
  scale = 1

  /** @param {HTMLCanvasElement} canvas @param {Viewport} viewport */
  constructor(canvas, viewport) {
    this.#canvas = canvas
    this.#viewport = viewport
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
  }

  #canvas
  #viewport
  #context

  /** Draw anew what is drawn already: colours, sizes or loudness have changed. */
  reset() {
    this.#pictures.clear()
    this.#drawn = ''
  }

  /** Something was loaded: draw with it. */
  touch() {
    this.#drawn = ''
  }

  /** Draw what has changed; return whether something is left for the next frame. @param {Beats} beats @param {Colours} colours */
  draw(beats, colours) {
    const { width, height } = this.#canvas
    const { start, samplesPerPixel } = this.#viewport
    const view = `${start} ${samplesPerPixel} ${width} ${height}`
    if (view === this.#drawn || !width || !height) return false
    this.#drawn = view
    this.#context.clearRect(0, 0, width, height)
    const isLeft = this.#drawSound(colours)
    drawGrid(this.#context, this.#viewport, beats, colours, height)
    if (isLeft) this.#drawn = ''
    return isLeft
  }

  /** @param {Colours} colours */
  #drawSound(colours) {
    const { width, height } = this.#canvas
    const overview = this.peaks?.overview
    if (!overview) {
      // Without the line of silence: nothing is known where nothing is drawn.
      this.#drawLive(colours)
      return false
    }
    this.#context.fillStyle = colours.rest
    this.#context.fillRect(0, Math.floor(height / 2), width, 1)
    if (this.#viewport.isWhole) {
      this.#drawOverview(overview, 0, width, colours)
      return false
    }
    return this.#drawTiles(overview, colours)
  }

  /** Draw what is loaded of a running job over what shows that the rest is not. @param {Colours} colours */
  #drawLive(colours) {
    const { width, height } = this.#canvas
    const middle = Math.floor(height / 2)
    for (let pixel = 0; this.live && pixel < width; pixel++) {
      const amplitude = this.live.amplitude(this.#viewport.secondsAt(pixel), this.#viewport.secondsAt(pixel + 1))
      if (amplitude === null) continue
      const tall = Math.round(amplitude ** CURVE * (height / 2 - 1))
      this.#context.fillStyle = colours.lane
      this.#context.fillRect(pixel, 0, 1, height)
      this.#context.fillStyle = tall > 0 ? colours.live : colours.rest
      this.#context.fillRect(pixel, middle - tall, 1, 2 * tall + 1)
    }
  }

  /** Draw the tiles in view, at most one of them for the first time. @param {Peaks} overview @param {Colours} colours */
  #drawTiles(overview, colours) {
    const { start, samplesPerPixel, width, samples } = this.#viewport
    const first = Math.round(start / samplesPerPixel)
    const last = Math.min(first + width, Math.ceil(samples / samplesPerPixel)) - 1
    let isLeft = false
    for (let index = Math.floor(first / TILE_PIXELS); index * TILE_PIXELS <= last; index++) {
      const name = `${samplesPerPixel} ${index}`
      const tile = this.peaks?.tile(samplesPerPixel, index)
      const at = index * TILE_PIXELS - first
      if (tile && !this.#pictures.has(name) && !isLeft) {
        this.#drawTile(name, tile, colours)
        isLeft = true
      }
      const picture = this.#used(name)
      if (picture) this.#context.drawImage(picture, at, 0)
      else this.#drawOverview(overview, Math.max(at, 0), Math.min(at + TILE_PIXELS, width), colours)
    }
    // The next tile is loaded before it is in view.
    if ((Math.floor(last / TILE_PIXELS) + 1) * TILE_PIXELS * samplesPerPixel < samples) {
      this.peaks?.tile(samplesPerPixel, Math.floor(last / TILE_PIXELS) + 1)
    }
    return isLeft
  }

  /** Draw a tile, where one was that has long been out of view: pictures are large, and collected late.
   * @param {string} name @param {Peaks} tile @param {Colours} colours */
  #drawTile(name, tile, colours) {
    const picture = this.#spare() ?? new OffscreenCanvas(TILE_PIXELS, this.#canvas.height)
    const context = /** @type {any} */ (picture.getContext('2d'))
    context.clearRect(0, 0, picture.width, picture.height)
    this.#drawBands(context, tile, colours, { from: 0, to: tile.pixels, first: 0, step: 1 })
    this.#pictures.set(name, picture)
  }

  /** The picture of a tile, which is then the one used last. @param {string} name */
  #used(name) {
    const picture = this.#pictures.get(name)
    if (!picture) return null
    this.#pictures.delete(name)
    this.#pictures.set(name, picture)
    return picture
  }

  #spare() {
    if (this.#pictures.size < this.#canvas.width / TILE_PIXELS + SPARE_PICTURES) return null
    const [[oldest, picture]] = this.#pictures
    this.#pictures.delete(oldest)
    return picture
  }

  /** @param {Peaks} overview @param {number} from @param {number} to pixels of the canvas @param {Colours} colours */
  #drawOverview(overview, from, to, colours) {
    const { start, samplesPerPixel } = this.#viewport
    const step = samplesPerPixel / overview.samplesPerPixel
    const first = start / overview.samplesPerPixel + from * step
    this.#drawBands(this.#context, overview, colours, { from, to, first, step })
  }

  /**
   * Draw the bands over each other, low at the back.
   * @param {CanvasRenderingContext2D} context
   * @param {Peaks} peaks
   * @param {Colours} colours
   * @param {{from: number, to: number, first: number, step: number}} place each pixel shows `step` pixels of the peaks
   */
  #drawBands(context, peaks, colours, { from, to, first, step }) {
    const half = this.#canvas.height / 2
    const middle = Math.floor(half)
    peaks.bands.forEach((band, number) => {
      context.fillStyle = colours.bands[number]
      for (let pixel = from; pixel < to; pixel++) {
        const begin = first + (pixel - from) * step
        const amplitude = Math.min(this.scale * loudest(band, begin, begin + step), 1)
        const tall = Math.round(amplitude ** CURVE * (half - 1))
        if (tall > 0) context.fillRect(pixel, middle - tall, 1, 2 * tall + 1)
      }
    })
  }
}

/** The largest amplitude of pixels, 0 to 1. @param {Uint8Array} band @param {number} begin @param {number} end */
function loudest(band, begin, end) {
  let found = 0
  const last = Math.min(Math.max(Math.ceil(end), Math.floor(begin) + 1), band.length)
  for (let at = Math.floor(begin); at < last; at++) if (band[at] > found) found = band[at]
  return found / FULL_AMPLITUDE
}

/** The largest amplitude of a waveform, 0 to 1. @param {Peaks} peaks */
export function largest(peaks) {
  return Math.max(...peaks.bands.map(band => loudest(band, 0, band.length)))
}

/** @param {CanvasRenderingContext2D} context @param {Viewport} viewport @param {Beats} beats @param {Colours} colours @param {number} height */
function drawGrid(context, viewport, beats, colours, height) {
  drawLines(context, viewport, beats.times, colours.beat, height)
  drawLines(context, viewport, beats.bars, colours.bar, height)
}

/** Draw lines at times, unless they are too close. @param {CanvasRenderingContext2D} context @param {Viewport} viewport
 * @param {Float64Array} times @param {string} colour @param {number} height */
function drawLines(context, viewport, times, colour, height) {
  const end = viewport.secondsAt(viewport.width)
  const first = firstFrom(times, viewport.secondsAt(0))
  const last = firstFrom(times, end)
  if (last - first > viewport.width / (LEAST_BEAT_PIXELS * viewport.ratio)) return
  context.fillStyle = colour
  for (let at = first; at < last; at++) context.fillRect(Math.round(viewport.pixelOf(times[at])), 0, Math.round(viewport.ratio), height)
}

/** Draw sections and times. @param {HTMLCanvasElement} canvas @param {Viewport} viewport @param {Beats} beats @param {Colours} colours @param {(seconds: number, isFine: boolean) => string} format */
export function drawRuler(canvas, viewport, beats, colours, format) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
  const { width, height } = canvas
  context.clearRect(0, 0, width, height)
  context.font = `${11 * viewport.ratio}px system-ui, sans-serif`
  context.textBaseline = 'middle'
  drawTimes(context, viewport, colours, format)
  drawSections(context, viewport, beats, colours)
}

/** @param {CanvasRenderingContext2D} context @param {Viewport} viewport @param {Colours} colours @param {(seconds: number, isFine: boolean) => string} format */
function drawTimes(context, viewport, colours, format) {
  const { ratio } = viewport
  const { width, height } = context.canvas
  const seconds = viewport.length / viewport.rate
  const least = (LEAST_LABEL_PIXELS * ratio * seconds) / width
  const step = LABEL_SECONDS.find(each => each >= least) ?? 7200
  const first = Math.ceil(viewport.secondsAt(0) / step)
  for (let number = first; number * step < viewport.secondsAt(width); number++) {
    const x = Math.round(viewport.pixelOf(number * step))
    context.fillStyle = colours.bar
    context.fillRect(x, height / 2, 1, height / 2)
    context.fillStyle = colours.text
    context.fillText(format(number * step, step < 1), x + 5 * ratio, height * 0.75)
  }
}

/** @param {CanvasRenderingContext2D} context @param {Viewport} viewport @param {Beats} beats @param {Colours} colours */
function drawSections(context, viewport, beats, colours) {
  const { ratio } = viewport
  const { width, height } = context.canvas
  for (const { start, end, label } of beats.sections) {
    const from = Math.max(viewport.pixelOf(start), 0)
    const to = Math.min(viewport.pixelOf(end), width)
    if (to - from < 4 * ratio) continue
    context.fillStyle = colours.beat
    context.fillRect(from, 0, to - from - 2 * ratio, height * 0.45)
    context.fillStyle = colours.text
    if (to - from > 16 * ratio) context.fillText(label, from + 5 * ratio, height * 0.24)
  }
}
