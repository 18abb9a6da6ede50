// @ts-check
// The ruler and the lanes: what is drawn where, and what a pointer does there.

import { el } from '../../lib/dom.js'
import { Viewport } from '../viewport.js'
import { drawRuler, largest, Waveform } from '../waveform.js'
import { Pointer } from './pointer.js'
import { clock } from './times.js'

// Where the position stays while a zoomed view scrolls, as a share of the width.
const PLAYED_SHARE = 0.35
const SNAP_PIXELS = 8

/** @typedef {{node: HTMLElement, wave: Waveform, canvas: HTMLCanvasElement, loading: HTMLElement, pending: HTMLElement, loop: HTMLElement, cursor: HTMLElement}} Lane */

/** Draws at most once a frame, and only what has changed. */
export class Timeline {
  /** @type {Lane[]} */
  #lanes = []
  /** @type {HTMLElement[]} */
  handles = []
  #queued = 0
  #isFollowing = true
  #drawnRuler = ''
  #drawnMarks = ''
  /** Where a pointer drags the position or the loop to. @type {{position?: number, loop?: {start: number, end: number}}} */
  #preview = {}

  /**
   * @param {object} options
   * @param {import('../player.js').Player} options.player
   * @param {any} options.job
   * @param {import('./loop.js').Loop} options.loop
   * @param {HTMLElement} options.legend has an element with `data-colour` for each colour
   * @param {() => void} options.onFrame called in each frame that is drawn
   */
  constructor({ player, job, loop, legend, onFrame }) {
    this.#player = player
    this.#loop = loop
    this.#legend = legend
    this.#onFrame = onFrame
    this.viewport = new Viewport(job.duration, job.sample_rate)
    this.#buildRuler()
    this.#observer = new ResizeObserver(() => this.#resize())
    this.#observer.observe(this.ruler)
    this.#scheme = matchMedia('(prefers-color-scheme: dark)')
    this.#scheme.addEventListener('change', this.#recolour)
    // The page's own choice of light or dark is an attribute of the root.
    this.#themes = new MutationObserver(this.#recolour)
    this.#themes.observe(document.documentElement, { attributes: true })
  }

  #player
  #loop
  #legend
  #onFrame
  #observer
  #scheme
  #themes
  #stillness = matchMedia('(prefers-reduced-motion: reduce)')
  /** @type {import('../beats.js').Beats | null} */
  #beats = null
  /** @type {import('../waveform.js').Colours | null} */
  #colours = null

  /** Return a new lane's waveform and its element. */
  addLane() {
    const canvas = el('canvas', { 'aria-hidden': true })
    const [loading, pending, loop, cursor] = ['loading', 'pending', 'loop-region', 'cursor'].map(name => el('div', { class: name }))
    const node = el('div', { class: 'lane' }, loading, canvas, pending, loop, cursor)
    this.#lanes.push({ node, wave: new Waveform(canvas, this.viewport), canvas, loading, pending, loop, cursor })
    this.#listen(node)
    return { node, wave: /** @type {Lane} */ (this.#lanes.at(-1)).wave }
  }

  /** @param {import('../beats.js').Beats} beats */
  setBeats(beats) {
    this.#beats = beats
    this.#redraw()
  }

  /** A waveform, or some of it, has been loaded, or can't be. */
  loaded() {
    const overviews = this.#lanes.flatMap(({ wave }) => wave.peaks?.overview ?? [])
    if (overviews.length) {
      this.viewport.setRate(overviews[0].rate)
      const scale = 1 / Math.max(...overviews.map(largest), 0.1)
      for (const { wave } of this.#lanes) {
        if (wave.scale !== scale) wave.reset()
        wave.scale = scale
      }
    }
    for (const { wave, loading } of this.#lanes) {
      loading.hidden = Boolean(wave.peaks?.overview || wave.peaks?.isOver)
      wave.touch()
    }
    this.request()
  }

  /** Draw in the next frame. */
  request() {
    this.#queued ||= requestAnimationFrame(() => this.#frame())
  }

  /** @param {1 | -1} steps 1 shows more of the song */
  zoom(steps) {
    const position = this.viewport.pixelOf(this.#player.position) / this.viewport.width
    this.#zoomAt(steps, position >= 0 && position <= 1 ? position : 0.5)
  }

  showAll() {
    this.viewport.showAll()
    this.request()
  }

  /** Scroll to the position, and with it while it plays. */
  follow() {
    this.#isFollowing = true
    this.request()
  }

  /** Scroll so that a time is in view. @param {number} seconds */
  reveal(seconds) {
    const pixel = this.viewport.pixelOf(seconds)
    if (pixel < 0 || pixel > this.viewport.width) this.#scrollTo(seconds)
    this.request()
  }

  close() {
    cancelAnimationFrame(this.#queued)
    this.#queued = -1
    this.#observer.disconnect()
    this.#themes.disconnect()
    this.#scheme.removeEventListener('change', this.#recolour)
  }

  #buildRuler() {
    this.rulerCanvas = el('canvas', { 'aria-hidden': true })
    this.rulerCursor = el('div', { class: 'cursor' })
    this.rulerLoop = el('div', { class: 'loop-region' })
    this.handles = ['start', 'end'].map(edge => el('div', { class: 'loop-handle', dataset: { edge } }))
    this.ruler = el('div', { class: 'ruler' }, this.rulerCanvas, this.rulerLoop, this.rulerCursor, ...this.handles)
    this.#listen(this.ruler)
  }

  /** @param {HTMLElement} node */
  #listen(node) {
    const pointer = new Pointer(node, {
      secondsAt: x => this.viewport.secondsAt(x * this.#ratio),
      canPan: () => !this.viewport.isWhole,
      edgeAt: target => target.dataset.edge ?? null,
    })
    pointer.onSeek = (seconds, isDone) => this.#seek(seconds, isDone)
    pointer.onLoop = (start, end, isDone) => this.#setLoop(start, end, isDone)
    pointer.onEdge = (edge, seconds, isDone) => this.#moveEdge(edge, seconds, isDone)
    pointer.onCancel = () => this.#cancel()
    pointer.onPan = pixels => this.#pan(pixels * this.#ratio)
    pointer.onZoom = (steps, x) => this.#zoomAt(steps, (x * this.#ratio) / this.viewport.width)
  }

  get #ratio() {
    return window.devicePixelRatio || 1
  }

  /** @param {number} seconds @param {boolean} isDone */
  #seek(seconds, isDone) {
    this.#preview = isDone ? {} : { position: seconds }
    if (isDone) this.#player.seek(seconds)
    this.request()
  }

  /** @param {number} start @param {number} end @param {boolean} isDone */
  #setLoop(start, end, isDone) {
    const [from, to] = [start, end].map(seconds => this.#snapped(seconds)).sort((a, b) => a - b)
    this.#preview = isDone ? {} : { loop: { start: from, end: to } }
    if (isDone) this.#loop.set(from, to)
    this.request()
  }

  #cancel() {
    this.#preview = {}
    this.request()
  }

  /** @param {'start' | 'end'} edge @param {number} seconds @param {boolean} isDone */
  #moveEdge(edge, seconds, isDone) {
    const range = this.#loop.range
    if (!range) return
    if (edge === 'start') this.#setLoop(seconds, range.end, isDone)
    else this.#setLoop(range.start, seconds, isDone)
  }

  /** The beat that is near a time on the screen, or the time. @param {number} seconds */
  #snapped(seconds) {
    const near = [this.#beats?.beatFrom(seconds, -1), this.#beats?.beatFrom(seconds, 1)]
    const pixels = (/** @type {number} */ beat) => Math.abs(this.viewport.pixelOf(beat) - this.viewport.pixelOf(seconds))
    const [best] = near.flatMap(beat => beat ?? []).sort((a, b) => pixels(a) - pixels(b))
    return best !== undefined && pixels(best) < SNAP_PIXELS * this.#ratio ? best : Math.max(seconds, 0)
  }

  /** @param {number} pixels */
  #pan(pixels) {
    this.#isFollowing = false
    this.viewport.moveTo(this.viewport.start + pixels * this.viewport.samplesPerPixel)
    this.request()
  }

  /** @param {1 | -1} steps @param {number} share */
  #zoomAt(steps, share) {
    this.viewport.zoom(steps, share)
    this.request()
  }

  #recolour = () => {
    this.#colours = null
    for (const { wave } of this.#lanes) wave.reset()
    this.#drawnRuler = ''
    this.request()
  }

  #redraw() {
    for (const { wave } of this.#lanes) wave.touch()
    this.#drawnRuler = ''
    this.request()
  }

  #resize() {
    const canvases = [this.rulerCanvas, ...this.#lanes.map(({ canvas }) => canvas)]
    // All sizes are read before any is set, so that the layout is computed once.
    const sizes = canvases.map(({ clientWidth, clientHeight }) => [clientWidth, clientHeight])
    canvases.forEach((canvas, number) => {
      const [width, height] = sizes[number].map(size => Math.round(size * this.#ratio))
      Object.assign(canvas, { width, height })
    })
    this.viewport.resize(this.rulerCanvas.width, this.#ratio)
    for (const { wave } of this.#lanes) wave.reset()
    this.#redraw()
  }

  #frame() {
    this.#queued = 0
    const { position } = this.#player
    if (this.#player.isPlaying && this.#isFollowing && this.#preview.position === undefined) this.#scrollTo(position)
    this.#colours ??= this.#readColours()
    this.#drawTimes()
    const isLeft = this.#drawLanes()
    this.#placeCursors(this.#preview.position ?? position)
    this.#placeMarks()
    this.#onFrame()
    if (this.#player.isPlaying || isLeft) this.request()
  }

  /** @param {number} position */
  #scrollTo(position) {
    const { viewport } = this
    if (viewport.isWhole) return
    const pixel = viewport.pixelOf(position)
    if (!this.#stillness.matches) {
      viewport.moveTo(position * viewport.rate - PLAYED_SHARE * viewport.length)
    } else if (pixel < 0 || pixel > 0.95 * viewport.width) {
      viewport.moveTo(position * viewport.rate - 0.05 * viewport.length)
    }
  }

  #drawTimes() {
    const { start, samplesPerPixel, width } = this.viewport
    const view = `${start} ${samplesPerPixel} ${width}`
    if (view === this.#drawnRuler || !this.#beats || !this.#colours) return
    this.#drawnRuler = view
    const format = (/** @type {number} */ seconds, /** @type {boolean} */ isFine) => clock(seconds, isFine ? 2 : 0)
    drawRuler(this.rulerCanvas, this.viewport, this.#beats, this.#colours, format)
  }

  #drawLanes() {
    let isLeft = false
    for (const { wave } of this.#lanes) {
      if (this.#beats && this.#colours) isLeft = wave.draw(this.#beats, this.#colours) || isLeft
    }
    return isLeft
  }

  /** @param {number} position */
  #placeCursors(position) {
    const pixel = this.viewport.pixelOf(position)
    const transform = `translateX(${pixel / this.#ratio}px)`
    const isHidden = pixel < 0 || pixel > this.viewport.width
    for (const cursor of [this.rulerCursor, ...this.#lanes.map(lane => lane.cursor)]) {
      cursor.hidden = isHidden
      cursor.style.transform = transform
    }
  }

  /** Show the loop, and what is not done yet. */
  #placeMarks() {
    const loop = this.#preview.loop ?? this.#loop.range
    const isOn = this.#loop.isOn || this.#preview.loop !== undefined
    const { start, samplesPerPixel, width, duration } = this.viewport
    const { ready } = this.#player
    const marks = `${loop?.start} ${loop?.end} ${isOn} ${ready} ${start} ${samplesPerPixel} ${width}`
    if (marks === this.#drawnMarks) return
    this.#drawnMarks = marks
    for (const region of [this.rulerLoop, ...this.#lanes.map(lane => lane.loop)]) {
      region.classList.toggle('is-on', isOn)
      this.#span(region, loop?.start ?? 0, loop?.end ?? 0)
    }
    this.handles.forEach((handle, number) => {
      const at = this.viewport.pixelOf((number ? loop?.end : loop?.start) ?? 0)
      handle.hidden = !loop || at < 0 || at > width
      handle.style.transform = `translateX(${at / this.#ratio}px)`
    })
    for (const { pending } of this.#lanes) this.#span(pending, ready, duration)
  }

  /** @param {HTMLElement} node @param {number} start @param {number} end */
  #span(node, start, end) {
    const from = Math.max(this.viewport.pixelOf(start), 0)
    const to = Math.min(this.viewport.pixelOf(end), this.viewport.width)
    node.hidden = to - from < 1
    node.style.transform = `translateX(${from / this.#ratio}px)`
    node.style.width = `${Math.max(to - from, 0) / this.#ratio}px`
  }

  #readColours() {
    const swatches = [.../** @type {NodeListOf<HTMLElement>} */ (this.#legend.querySelectorAll('[data-colour]'))]
    const found = Object.fromEntries(swatches.map(node => [node.dataset.colour, getComputedStyle(node).color]))
    return { ...found, bands: [found.low, found.mid, found.high] }
  }
}
