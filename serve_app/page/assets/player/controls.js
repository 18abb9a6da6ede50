// @ts-check
// The player that a person sees: mounts it in an element, and wires its parts.

import { announce, clear, el } from '../lib/dom.js'
import { Beats } from './beats.js'
import { AnalysisLine } from './controls/analysis_line.js'
import { helpDialog } from './controls/help.js'
import { Keyboard } from './controls/keyboard.js'
import { Loop } from './controls/loop.js'
import { StemRow, stemTitle } from './controls/stem_row.js'
import { Timeline } from './controls/timeline.js'
import { clock } from './controls/times.js'
import { Transport } from './controls/transport.js'
import { LivePeaks } from './live_peaks.js'
import { StemPeaks } from './peaks.js'
import { Player } from './player.js'

// Without beats the arrow keys move by so much, and a loop is so long.
const STEP_SECONDS = 1
const LONG_STEP_SECONDS = 5
const LOOP_SECONDS = 8
const LOOP_BARS = 4

/**
 * Build a player for a job, completed or running.
 * @param {HTMLElement} container
 * @param {{api: any, job: any, t: (name: string, values?: object) => string, onVolumes?: (gains: Record<string, number>) => void}} options
 *   `onVolumes` is called with the `gains` when they may have changed
 * @returns {{update: (job: any) => void, gains: () => Record<string, number>, close: () => void}}
 *   `update` takes newer states of the job; `gains` are the volumes that are heard now, by stem
 */
export function mountPlayer(container, { api, job, t, onVolumes = () => {} }) {
  const controls = new Controls(container, api, job, t)
  controls.player.addEventListener('change', () => onVolumes(controls.gains()))
  return {
    update: newer => controls.update(newer),
    gains: () => controls.gains(),
    close: () => controls.close(),
  }
}

class Controls {
  /** @type {StemPeaks[]} */
  #peaks = []
  #beats = new Beats(null)
  #error = ''

  /** @param {HTMLElement} container @param {any} api @param {any} job @param {(name: string, values?: object) => string} t */
  constructor(container, api, job, t) {
    this.#container = container
    this.#api = api
    this.#job = job
    this.#t = t
    this.player = new Player({ api, job })
    this.loop = new Loop(this.player)
    this.#legend = this.#buildLegend()
    this.timeline = new Timeline({ player: this.player, job, loop: this.loop, legend: this.#legend, onFrame: () => this.#onFrame() })
    this.line = new AnalysisLine(t, () => this.#setBeats())
    this.transport = new Transport({ player: this.player, loop: this.loop, t, on: this.#actions() })
    this.#lanes = [...this.player.stems.keys()].map(name => ({ name, ...this.timeline.addLane() }))
    this.rows = this.#lanes.map(({ name, node }, index) =>
      new StemRow({ name, number: index + 1, lane: node, player: this.player, t, onDownload: each => this.#download(each) }))
    if (job.status !== 'completed') this.#drawPlayed()
    this.#build()
    this.keyboard = this.#listen()
    this.update(job)
  }

  #container
  #api
  #job
  #t
  #legend
  #lanes

  /** @param {any} job */
  update(job) {
    this.#job = job
    this.player.update(job)
    this.line.update(job.analysis)
    this.#setBeats()
    if (job.status === 'completed' && !this.#peaks.length) this.#openPeaks()
    this.#refresh()
  }

  gains() {
    const { stems, volume } = this.player
    // To four decimals, so that the same volumes are the same mix.
    return Object.fromEntries([...stems.keys()].map(name => [name, Number((volume * this.player.heard(name)).toFixed(4))]))
  }

  close() {
    this.keyboard.close()
    this.timeline.close()
    this.player.close()
    for (const peaks of this.#peaks) peaks.close()
    clear(this.#container)
  }

  #build() {
    this.help = helpDialog(this.#t, isOn => { this.keyboard.isOn = isOn })
    this.status = el('p', { class: 'player-status', role: 'status' })
    this.alert = el('p', { class: 'player-error', role: 'alert' })
    const ruler = el('div', { class: 'stem ruler-row' }, el('div', { class: 'stem-head' }, this.#legend), this.timeline.ruler)
    this.node = el(
      'div',
      { class: 'player' },
      this.transport.node,
      this.line.node,
      el('div', { class: 'timeline' }, ruler, ...this.rows.map(row => row.node)),
      this.status,
      this.alert,
      this.help,
    )
    this.#describeRuler()
    clear(this.#container)
    this.#container.append(this.node)
  }

  /** The colours of what is drawn; those of the bands are explained. */
  #buildLegend() {
    const colour = (/** @type {string} */ name) => el('i', { class: 'swatch', dataset: { colour: name } })
    const bands = ['low', 'mid', 'high'].map(band => el('span', {}, colour(band), this.#t(`player.band.${band}`)))
    const drawn = ['beat', 'bar', 'rest', 'text', 'lane', 'live'].map(name => el('span', { hidden: true }, colour(name)))
    return el('div', { class: 'legend' }, ...bands, ...drawn)
  }

  #describeRuler() {
    const { ruler } = this.timeline
    const attributes = { role: 'slider', tabindex: 0, 'aria-label': this.#t('player.position'), 'aria-valuemin': 0, 'aria-valuemax': Math.ceil(this.player.duration) }
    for (const [name, value] of Object.entries(attributes)) ruler.setAttribute(name, String(value))
  }

  #listen() {
    const { player } = this
    player.addEventListener('change', () => this.#refresh())
    player.addEventListener('stall', () => this.#refresh())
    player.addEventListener('time', () => this.#showPosition())
    player.addEventListener('error', event => this.#fail(/** @type {CustomEvent} */ (event).detail))
    this.loop.addEventListener('change', () => this.#refresh())
    return new Keyboard({ actions: this.#keys(), onStem: (key, number) => this.#onStem(key, number), alwaysIn: this.timeline.ruler })
  }

  #actions() {
    return {
      play: () => this.#toggle(),
      loop: () => this.loop.toggle(() => this.#defaultLoop()),
      closer: () => this.#zoom(-1),
      wider: () => this.#zoom(1),
      whole: () => this.#showAll(),
      help: () => this.help.showModal(),
    }
  }

  /** @returns {Record<string, () => void>} */
  #keys() {
    const { play, loop, closer, wider, whole, help } = this.#actions()
    return {
      ' ': play,
      l: loop,
      '+': closer,
      '=': closer,
      '-': wider,
      0: whole,
      '?': help,
      ArrowLeft: () => this.#step(-1),
      ArrowRight: () => this.#step(1),
      'Shift+ArrowLeft': () => this.#bar(-1),
      'Shift+ArrowRight': () => this.#bar(1),
      PageDown: () => this.#bar(-1),
      PageUp: () => this.#bar(1),
      Home: () => this.#seek(0),
      End: () => this.#seek(this.player.duration),
    }
  }

  #toggle() {
    this.#error = ''
    if (this.player.isPlaying) this.player.pause()
    else this.player.play()
    this.timeline.follow()
  }

  /** @param {1 | -1} direction */
  #step(direction) {
    const { position } = this.player
    this.#seek(this.#beats.beatFrom(position, direction) ?? position + direction * STEP_SECONDS)
  }

  /** @param {1 | -1} direction */
  #bar(direction) {
    const { position } = this.player
    this.#seek(this.#beats.barFrom(position, direction) ?? position + direction * LONG_STEP_SECONDS)
  }

  /** @param {number} seconds */
  #seek(seconds) {
    this.player.seek(seconds)
    this.timeline.reveal(this.player.position)
  }

  /** @param {1 | -1} steps */
  #zoom(steps) {
    this.timeline.zoom(steps)
    this.transport.update(this.timeline.viewport)
  }

  #showAll() {
    this.timeline.showAll()
    this.transport.update(this.timeline.viewport)
  }

  #defaultLoop() {
    const { position } = this.player
    return this.#beats.barsAt(position, LOOP_BARS) ?? { start: position, end: position + LOOP_SECONDS }
  }

  /** @param {'m' | 's'} key @param {number} number */
  #onStem(key, number) {
    const row = this.rows[number]
    if (!row) return
    row.toggle(key === 'm' ? 'muted' : 'soloed')
    const { muted, soloed } = /** @type {any} */ (this.player.stems.get(row.name))
    const said = key === 'm' ? (muted ? 'player.saidMuted' : 'player.saidUnmuted') : soloed ? 'player.saidSoloed' : 'player.saidUnsoloed'
    announce(this.#t(said, { stem: stemTitle(row.name, this.#t) }))
  }

  /** @param {string} name */
  async #download(name) {
    try {
      const href = await this.#api.link(`/job/${this.#job.job_id}/stems/${encodeURIComponent(name)}`)
      el('a', { href, download: this.#job.stems[name].filename }).click()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Until the job is completed, the waveform is that of what has been played. */
  #drawPlayed() {
    for (const { wave } of this.#lanes) wave.live = new LivePeaks(this.player.duration)
    this.player.addEventListener('block', event => {
      const { name, seconds, rate, channels } = /** @type {CustomEvent} */ (event).detail
      this.#lanes.find(lane => lane.name === name)?.wave.live?.add(seconds, rate, channels)
      this.timeline.loaded()
    })
  }

  #openPeaks() {
    this.#peaks = this.#lanes.map(({ name, wave }) => {
      const path = `/job/${this.#job.job_id}/waveform?stem=${encodeURIComponent(name)}`
      const onLoad = () => this.timeline.loaded()
      const onError = (/** @type {Error} */ error) => {
        this.#fail(error)
        onLoad()
      }
      const options = { path, duration: this.player.duration, onLoad, onError }
      wave.peaks = new StemPeaks(this.#api, options)
      wave.peaks.open()
      return wave.peaks
    })
  }

  #setBeats() {
    this.#beats = new Beats(this.#job.analysis, this.line.factor)
    this.timeline.setBeats(this.#beats)
  }

  /** @param {any} error */
  #fail(error) {
    this.#error = error.detail ?? error.message ?? String(error)
    this.#refresh()
  }

  #refresh() {
    this.transport.update(this.timeline.viewport)
    for (const row of this.rows) row.update(this.#job)
    setText(this.status, this.#status())
    setText(this.alert, this.#error)
    this.#showPosition()
    this.timeline.request()
  }

  #status() {
    const { isPlaying, isStalled, ready, duration } = this.player
    const isDone = ready >= duration
    if (isPlaying && isStalled) return this.#t(isDone ? 'player.loading' : 'player.waiting')
    return isDone ? '' : this.#t('player.ready', { ready: clock(ready), duration: clock(duration) })
  }

  #showPosition() {
    const { position, duration } = this.player
    this.transport.showPosition()
    const now = String(Math.floor(position))
    const { ruler } = this.timeline
    if (ruler.getAttribute('aria-valuenow') === now) return
    ruler.setAttribute('aria-valuenow', now)
    ruler.setAttribute('aria-valuetext', this.#t('player.positionText', { position: clock(position), duration: clock(duration) }))
  }

  #onFrame() {
    this.transport.showPosition()
    const levels = this.player.levels()
    this.rows.forEach((row, number) => row.showLevel(this.player.isPlaying ? levels[number] : 0))
  }
}

/** Set a text only where it changes, so that screen readers don't say it again. @param {HTMLElement} node @param {string} text */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}
