// @ts-check
// Blocks at another rate, for browsers that refuse an AudioContext at the stems' rate.
// Each sample is a windowed sinc (Kaiser) around its own time, so that blocks join exactly.

import { BLOCK_SECONDS } from './blocks.js'

const ZERO_CROSSINGS = 32
// Of the lower half rate. With this window, aliases are below -90 dB.
const PASS_BAND = 0.92
const KAISER_BETA = 9
const KEPT_BLOCKS = 8

/** The blocks of a stem, resampled; as `Blocks` has them. */
export class Resampled {
  /** @type {Map<number, Float32Array[]>} */
  #kept = new Map()

  /** @param {import('./blocks.js').Blocks} blocks @param {number} rate */
  constructor(blocks, rate) {
    this.#blocks = blocks
    this.rate = rate
    const divisor = greatestCommonDivisor(blocks.rate, rate)
    this.#up = rate / divisor
    this.#down = blocks.rate / divisor
    this.#kernels = kernels(this.#up, this.#down)
    this.#taps = this.#kernels.length / this.#up
  }

  #blocks
  #up
  #down
  #kernels
  #taps

  get samples() {
    return Math.ceil((this.#blocks.samples * this.#up) / this.#down)
  }

  get blockSamples() {
    return Math.round(this.rate * BLOCK_SECONDS)
  }

  /** @param {number[]} indices */
  want(indices) {
    const wanted = new Set(indices.flatMap(index => this.#sources(index)))
    this.#blocks.want([...wanted])
  }

  /** @param {number} index */
  peek(index) {
    const kept = this.#kept.get(index)
    if (kept) return kept
    const sources = this.#sources(index).map(source => this.#blocks.peek(source))
    if (sources.includes(null)) return null
    const made = this.#resampled(index, /** @type {Float32Array[][]} */ (sources))
    this.#kept.set(index, made)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > KEPT_BLOCKS) this.#kept.delete(oldest)
    return made
  }

  /** The first and the last sample of the stem that a block needs, exclusive; they can lie outside. @param {number} index */
  #needed(index) {
    const first = index * this.blockSamples
    const last = Math.min(first + this.blockSamples, this.samples) - 1
    const half = this.#taps / 2
    const at = (/** @type {number} */ sample) => Math.floor((sample * this.#down) / this.#up)
    return { start: at(first) - half + 1, end: at(last) + half + 1 }
  }

  /** @param {number} index */
  #sources(index) {
    const { start, end } = this.#needed(index)
    const size = this.#blocks.blockSamples
    const first = Math.floor(Math.max(start, 0) / size)
    const last = Math.floor((Math.min(end, this.#blocks.samples) - 1) / size)
    return Array.from({ length: last - first + 1 }, (_, number) => first + number)
  }

  /** @param {number} index @param {Float32Array[][]} sources */
  #resampled(index, sources) {
    const { start, end } = this.#needed(index)
    const [first] = this.#sources(index)
    const from = first * this.#blocks.blockSamples - start
    return sources[0].map((_, channel) => {
      const input = new Float32Array(end - start)
      let at = from
      for (const source of sources) {
        const head = Math.max(-at, 0)
        input.set(source[channel].subarray(head, input.length - at), Math.max(at, 0))
        at += source[channel].length
      }
      return this.#convolved(input, start, index)
    })
  }

  /** @param {Float32Array} input from the sample `start` on @param {number} start @param {number} index */
  #convolved(input, start, index) {
    const first = index * this.blockSamples
    const output = new Float32Array(Math.min(this.blockSamples, this.samples - first))
    const half = this.#taps / 2
    for (let sample = 0; sample < output.length; sample++) {
      const place = (first + sample) * this.#down
      const whole = Math.floor(place / this.#up)
      const kernel = (place - whole * this.#up) * this.#taps
      const from = whole - half + 1 - start
      let sum = 0
      for (let tap = 0; tap < this.#taps; tap++) sum += input[from + tap] * this.#kernels[kernel + tap]
      output[sample] = sum
    }
    return output
  }
}

/** The filter of each of `up` phases, one after the other. @param {number} up @param {number} down */
function kernels(up, down) {
  const cut = PASS_BAND * Math.min(1, up / down)
  const half = Math.ceil(ZERO_CROSSINGS / cut)
  const table = new Float32Array(up * 2 * half)
  for (let phase = 0; phase < up; phase++) {
    for (let tap = 0; tap < 2 * half; tap++) {
      const distance = tap - half + 1 - phase / up
      table[phase * 2 * half + tap] = cut * sinc(cut * distance) * kaiser(distance / half)
    }
  }
  return table
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
}

/** @param {number} x from -1 to 1 */
function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA)
}

/** The modified Bessel function of order 0, by its power series. @param {number} x */
function bessel(x) {
  let sum = 1
  let term = 1
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}

/** @param {number} a @param {number} b @returns {number} */
function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
