// @ts-check
// Which part of the song is in view. A pixel is one of the device's, and whole samples of a zoom level.

import { zoomLevels } from './peaks.js'

/** The part of a song that all its waveforms show. */
export class Viewport {
  /** The song's sample at the left edge. */
  start = 0
  /** The device's pixels from edge to edge. */
  width = 1
  /** The device's pixels of a pixel of CSS. */
  ratio = 1
  /** @type {number[]} */
  #levels = []
  // An index of the levels; their number if the whole song is in view.
  #level = 0

  /** @param {number} duration in seconds @param {number} rate of the waveforms */
  constructor(duration, rate) {
    this.duration = duration
    this.rate = rate
    this.samples = Math.round(duration * rate)
  }

  /** Take the rate of the waveforms: stems in some formats have another one than their song. @param {number} rate */
  setRate(rate) {
    if (rate === this.rate) return
    this.rate = rate
    this.samples = Math.round(this.duration * rate)
    this.#level = Infinity
    this.resize(this.width, this.ratio)
  }

  get isWhole() {
    return this.#level >= this.#levels.length
  }

  get isClosest() {
    return this.#level === 0
  }

  get samplesPerPixel() {
    return this.isWhole ? this.samples / this.width : this.#levels[this.#level]
  }

  /** The song's samples from edge to edge. */
  get length() {
    return this.samplesPerPixel * this.width
  }

  /** @param {number} width in the device's pixels @param {number} ratio */
  resize(width, ratio) {
    const { isWhole } = this
    this.ratio = ratio
    this.width = Math.max(width, 1)
    this.#levels = zoomLevels(this.rate, this.samples / this.width)
    this.#level = isWhole ? this.#levels.length : Math.min(this.#level, this.#levels.length)
    this.moveTo(this.start)
  }

  /** Show less (-1) or more (1) of the song; a share of the width stays at its sample. @param {1 | -1} steps @param {number} share */
  zoom(steps, share) {
    const kept = this.start + share * this.length
    this.#level = Math.min(Math.max(this.#level + steps, 0), this.#levels.length)
    this.moveTo(kept - share * this.length)
  }

  /** Show the whole song. */
  showAll() {
    this.#level = this.#levels.length
    this.moveTo(0)
  }

  /** Whole pixels, so that a waveform keeps its shape while it moves. @param {number} start */
  moveTo(start) {
    const last = Math.max(this.samples - this.length, 0)
    const { samplesPerPixel } = this
    this.start = this.isWhole ? 0 : Math.round(Math.min(Math.max(start, 0), last) / samplesPerPixel) * samplesPerPixel
  }

  /** @param {number} seconds */
  pixelOf(seconds) {
    return (seconds * this.rate - this.start) / this.samplesPerPixel
  }

  /** @param {number} pixel */
  secondsAt(pixel) {
    return (this.start + pixel * this.samplesPerPixel) / this.rate
  }
}
