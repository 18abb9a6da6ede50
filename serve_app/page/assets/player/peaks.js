// @ts-check
// Waveforms of the service: an overview of each stem, and tiles of it where it is zoomed.

import { isFinal } from './blocks.js'

export const TILE_PIXELS = 512
export const BANDS = 3

const OVERVIEW_PIXELS = 4096
// The shortest pixel that the service keeps is 1/300 s.
const MOST_PIXELS_PER_SECOND = 300
const KEPT_TILES = 96
const MOST_REQUESTS = 2
const RETRY_MS = 3_000

/**
 * The amplitudes of each band, low to high, by pixel: 0 to 127.
 * @typedef {{bands: Uint8Array[], pixels: number, samplesPerPixel: number, rate: number}} Peaks
 */

/**
 * Return the samples of a pixel at each zoom level, closest first, for songs whose view has larger pixels.
 * @param {number} rate @param {number} fitSamples the samples of a pixel where the whole song is in view
 */
export function zoomLevels(rate, fitSamples) {
  const levels = []
  for (let samples = Math.ceil(rate / MOST_PIXELS_PER_SECOND); samples < fitSamples; samples *= 2) levels.push(samples)
  return levels
}

/** Read audiowaveform's `dat`, version 2, with 8 bits and three channels. @param {ArrayBuffer} buffer @returns {Peaks} */
export function parseDat(buffer) {
  const view = new DataView(buffer)
  const [version, flags, rate, samplesPerPixel, pixels, channels] = [0, 4, 8, 12, 16, 20].map(at => view.getUint32(at, true))
  if (version !== 2 || (flags & 1) !== 1 || channels !== BANDS || buffer.byteLength < 24 + 2 * BANDS * pixels) {
    throw new TypeError('The waveform is not in the requested format.')
  }
  const bytes = new Int8Array(buffer, 24)
  const bands = Array.from({ length: BANDS }, (_, band) => {
    const amplitudes = new Uint8Array(pixels)
    for (let pixel = 0; pixel < pixels; pixel++) amplitudes[pixel] = Math.max(0, bytes[2 * (BANDS * pixel + band) + 1])
    return amplitudes
  })
  return { bands, pixels, samplesPerPixel, rate }
}

/** The waveform of one stem of a completed job. What is not loaded yet is null; `onLoad` is called when more is. */
export class StemPeaks {
  /** @type {Peaks | null} */
  overview = null
  /** @type {Map<string, Peaks | null>} */
  #tiles = new Map()
  /** @type {string[]} */
  #waiting = []
  #running = 0
  #closing = new AbortController()
  #isOver = false

  /**
   * @param {any} api
   * @param {{path: string, duration: number, onLoad: () => void, onError: (error: Error) => void}} stem
   *   `path` is that of the waveform, with `stem` in its query
   */
  constructor(api, { path, duration, onLoad, onError }) {
    this.#api = api
    this.#path = `${path}&format=dat&bits=8&bands=${BANDS}`
    this.#duration = duration
    this.#onLoad = onLoad
    this.#onError = onError
  }

  #api
  #path
  #duration
  #onLoad
  #onError

  /** Whether nothing will be loaded any more. */
  get isOver() {
    return this.#isOver
  }

  /** Load the overview; wait for a server that is away. */
  async open() {
    this.overview = await this.#read(`num_peaks=${OVERVIEW_PIXELS}`)
    if (this.overview) this.#onLoad()
    else if (!this.#isOver) setTimeout(() => this.open(), RETRY_MS)
  }

  /** Return a tile at the overview's rate, or null until it is loaded. @param {number} samplesPerPixel @param {number} index */
  tile(samplesPerPixel, index) {
    const name = `${samplesPerPixel} ${index}`
    const tile = this.#tiles.get(name)
    if (tile) {
      this.#tiles.delete(name)
      this.#tiles.set(name, tile)
    } else if (tile === undefined) {
      this.#tiles.set(name, null)
      this.#waiting.push(name)
      this.#next()
    }
    return tile ?? null
  }

  close() {
    this.#isOver = true
    this.#closing.abort()
    this.#waiting = []
    this.#tiles.clear()
  }

  /** Load the tiles that were asked for last: after a fast scroll the earlier ones are out of view. */
  #next() {
    while (this.#running < MOST_REQUESTS && this.#waiting.length && !this.#isOver) {
      const name = /** @type {string} */ (this.#waiting.pop())
      this.#running++
      this.#load(name).finally(() => {
        this.#running--
        this.#next()
      })
    }
  }

  /** @param {string} name */
  async #load(name) {
    const [samplesPerPixel, index] = name.split(' ').map(Number)
    const rate = this.overview?.rate ?? 1
    const first = index * TILE_PIXELS * samplesPerPixel
    // The server rounds down to whole samples: a part of one more is not rounded to one less.
    const start = (first + 0.25) / rate
    const end = Math.min((first + TILE_PIXELS * samplesPerPixel) / rate, this.#duration)
    const resolution = rate / (samplesPerPixel + 0.5)
    const tile = await this.#read(`start=${start}&end=${end}&pixels_per_second=${resolution}`)
    this.#forget()
    if (tile) this.#tiles.set(name, tile)
    else setTimeout(() => this.#tiles.delete(name), RETRY_MS)
    this.#onLoad()
  }

  #forget() {
    for (const name of this.#tiles.keys()) {
      if (this.#tiles.size <= KEPT_TILES) break
      this.#tiles.delete(name)
    }
  }

  /** @param {string} query */
  async #read(query) {
    try {
      const response = await this.#api.bytes(`${this.#path}&${query}`, { start: 0, signal: this.#closing.signal })
      return parseDat(await response.arrayBuffer())
    } catch (error) {
      if (!this.#isOver && isFinal(error)) {
        this.#isOver = true
        this.#onError(/** @type {Error} */ (error))
      }
      return null
    }
  }
}
