// @ts-check
// A job's stems as one instrument: its clock, its loop, and the volume of each stem.

import { Blocks, BLOCK_SECONDS, Gate, isStoredWav, openSource } from './blocks.js'
import { Resampled } from './resample.js'
import { Schedule } from './schedule.js'

/** The shortest loop. */
export const LEAST_LOOP_SECONDS = 0.1

const RAMP_SECONDS = 0.01
const TICK_MS = 100
// Browsers run timers of hidden tabs once a second.
const SCHEDULED_SECONDS = 2.5
const MOST_AHEAD_SECONDS = 10
// Until play is pressed, only so much is loaded.
const PREPARED_BLOCKS = 4
const MOST_BLOCK_BYTES = 24e6
const MOST_CONNECTIONS = 4
// While windows are awaited, connections stay open: leave some of the browser's six to the rest of the page.
const MOST_WAITING_CONNECTIONS = 2
const IDLE_MS = 2_000
const METER_SAMPLES = 1024

/** @typedef {{volume: number, muted: boolean, soloed: boolean}} StemState */

/**
 * Plays the stems of a job, completed or running. Events: `change` (anything but the time), `time` (ten times a
 * second while it plays), `stall` (`stalled` has changed), `error` (`detail` is the error; the player has paused),
 * `block` (a part of a running job's stem has been loaded; `detail` has its `name`, `seconds`, `rate` and `channels`).
 */
export class Player extends EventTarget {
  /** @type {Map<string, StemState>} */
  stems
  isPlaying = false
  isStalled = false

  /** @type {Map<string, Blocks>} */
  #blocks = new Map()
  /** @type {Schedule | null} */
  #schedule = null
  /** @type {Map<string, {gain: GainNode, analyser: AnalyserNode}>} */
  #outputs = new Map()
  /** @type {GainNode | null} */
  #master = null
  /** @type {BaseAudioContext | null} */
  #context
  /** @type {Promise<void> | null} */
  #opening = null
  /** @type {{start: number, end: number} | null} */
  #loop = null
  #closing = new AbortController()
  /** The position in seconds while nothing is scheduled. */
  #rest = 0
  #isScheduled = false
  #volume = 1
  #level = 1
  #timer = 0
  #idle = 0
  #meter = new Float32Array(METER_SAMPLES)

  /**
   * @param {object} options
   * @param {any} options.api
   * @param {any} options.job
   * @param {BaseAudioContext | null} [options.context] instead of one at the stems' rate, made at the first `play`
   */
  constructor({ api, job, context = null }) {
    super()
    this.#api = api
    this.#job = job
    this.#context = context
    const names = Object.keys(job.stems ?? {}).length ? Object.keys(job.stems) : job.options.stems
    this.stems = new Map(names.map((/** @type {string} */ name) => [name, { volume: 1, muted: false, soloed: false }]))
    this.#levels = new Float32Array(this.stems.size)
    if (job.status === 'completed') this.#prepare()
  }

  #api
  #job
  #levels

  /** The song's length in seconds. */
  get duration() {
    return this.#job.duration
  }

  /** The seconds of the song that exist: all of a completed job. */
  get ready() {
    const { status, progress } = this.#job
    if (status === 'completed') return this.duration
    const loaded = [...this.#blocks.values()].map(blocks => blocks.loaded / blocks.rate)
    return Math.max((this.duration * progress) / 100, Math.min(...loaded, this.duration) * Number(loaded.length > 0))
  }

  /** The time in seconds that is heard now. */
  get position() {
    const context = /** @type {AudioContext | null} */ (this.#context)
    if (!this.#isScheduled || !context || !this.#schedule) return this.#rest
    const heard = context.currentTime - (context.outputLatency || 0)
    return this.#schedule.sampleAt(Math.round(heard * context.sampleRate)) / context.sampleRate
  }

  /** The loop in seconds, or null. */
  get looped() {
    return this.#loop
  }

  get volume() {
    return this.#volume
  }

  set volume(volume) {
    this.#volume = volume
    if (this.#master) ramp(this.#master.gain, volume, /** @type {BaseAudioContext} */ (this.#context))
    this.#changed()
  }

  /** Play from the position on; from the beginning if that is the end. */
  async play() {
    if (this.isPlaying) return
    this.isPlaying = true
    clearTimeout(this.#idle)
    this.#changed()
    try {
      const context = this.#ensureContext()
      // Within the user's gesture: browsers allow sound only then.
      const resuming = context instanceof AudioContext && context.state !== 'running' ? context.resume() : null
      await Promise.all([resuming, this.#open()])
    } catch (error) {
      this.#fail(error)
      return
    }
    if (this.isPlaying && !this.#closing.signal.aborted) this.#begin()
  }

  pause() {
    if (!this.isPlaying) return
    this.isPlaying = false
    clearInterval(this.#timer)
    this.#stop()
    this.#setStalled(false)
    this.#idle = window.setTimeout(() => this.#suspend(), IDLE_MS)
    this.#changed()
  }

  /** @param {number} seconds */
  seek(seconds) {
    const wasScheduled = this.#isScheduled
    this.#stop()
    this.#rest = Math.min(Math.max(seconds, 0), this.duration)
    if (wasScheduled) this.#start()
    else if (this.#job.status === 'completed') this.#prepareBlocks()
    this.#changed()
  }

  /** Repeat from `start` to `end`, in seconds, whenever the end is reached. @param {number} start @param {number} end */
  loop(start, end) {
    const from = Math.min(Math.max(start, 0), this.duration - LEAST_LOOP_SECONDS)
    const to = Math.min(Math.max(end, from + LEAST_LOOP_SECONDS), this.duration)
    this.#loop = from >= 0 ? { start: from, end: to } : null
    this.#repeat()
  }

  unloop() {
    this.#loop = null
    this.#repeat()
  }

  /** @param {string} name @param {Partial<StemState>} change */
  set(name, change) {
    const state = this.stems.get(name)
    if (!state) throw new Error(`There is no stem "${name}".`)
    Object.assign(state, change)
    this.#applyVolumes()
    this.#changed()
  }

  /** Return how loud a stem is played: 0 if it is muted, or another one is soloed. @param {string} name */
  heard(name) {
    const { volume, muted, soloed } = /** @type {StemState} */ (this.stems.get(name))
    const isSolo = [...this.stems.values()].some(state => state.soloed)
    return muted || (isSolo && !soloed) ? 0 : volume
  }

  /** Return the peak of each stem now, in the order of `stems`. The array is reused. */
  levels() {
    let number = 0
    for (const { analyser } of this.#outputs.values()) {
      analyser.getFloatTimeDomainData(this.#meter)
      let peak = 0
      for (const sample of this.#meter) peak = Math.max(peak, Math.abs(sample))
      this.#levels[number++] = peak
    }
    return this.#levels
  }

  /** Take a newer state of the job; once it is completed, it is read as it is stored. @param {any} job */
  update(job) {
    const isNew = job.status !== this.#job.status
    this.#job = job
    if (isNew && job.status === 'completed') this.#reopen().catch(error => this.#fail(error))
    this.#changed()
  }

  /** Schedule the sound up to a time, in seconds of the context: for an OfflineAudioContext. @param {number} seconds */
  async fill(seconds) {
    await this.#schedule?.fill(this.#frames(seconds))
  }

  close() {
    this.#closing.abort()
    clearInterval(this.#timer)
    clearTimeout(this.#idle)
    this.isPlaying = false
    this.#stop()
    for (const blocks of this.#blocks.values()) blocks.close()
    if (this.#context instanceof AudioContext) this.#context.close()
  }

  /** @param {number} seconds */
  #frames(seconds) {
    return Math.round(seconds * /** @type {BaseAudioContext} */ (this.#context).sampleRate)
  }

  /** Load the beginning, so that it plays at once. A failure is told when it is played. */
  #prepare() {
    this.#open().catch(() => (this.#opening = null))
  }

  #open() {
    this.#opening ??= this.#openAll().catch(error => {
      this.#opening = null
      throw error
    })
    return this.#opening
  }

  async #openAll() {
    const names = [...this.stems.keys()]
    const { signal } = this.#closing
    const sources = await Promise.all(names.map(name => openSource(this.#api, this.#job, name, signal)))
    const { rate, samples } = sources[0].header
    for (const { header } of sources) {
      if (header.rate !== rate || header.samples !== samples) throw new Error('The stems have different lengths or rates.')
    }
    const bytes = rate * BLOCK_SECONDS * 4 * sources[0].header.channels
    const capacity = Math.max(12, Math.floor(MOST_BLOCK_BYTES / sources.length / bytes))
    const gate = new Gate(isStoredWav(this.#job) ? MOST_CONNECTIONS : MOST_WAITING_CONNECTIONS)
    const options = {
      capacity,
      gate,
      ready: () => this.ready,
      onError: (/** @type {Error} */ error) => this.#fail(error),
    }
    names.forEach((name, number) => {
      const onBlock = (/** @type {number} */ seconds, /** @type {Float32Array[]} */ channels) => this.#arrived(name, seconds, channels)
      this.#blocks.set(name, new Blocks(this.#api, sources[number], { ...options, onBlock }))
    })
    if (this.#job.status === 'completed') this.#prepareBlocks()
  }

  /** Load what would be played first. */
  #prepareBlocks() {
    const first = Math.floor(this.#rest / BLOCK_SECONDS)
    const indices = Array.from({ length: PREPARED_BLOCKS }, (_, index) => first + index)
    const wanted = indices.filter(index => index * BLOCK_SECONDS < this.duration)
    for (const blocks of this.#blocks.values()) blocks.want(wanted)
  }

  /** Read the stems of a job that has just been completed. What is scheduled plays on: the sound is the same. */
  async #reopen() {
    if (!this.#blocks.size) return this.#prepare()
    const names = [...this.#blocks.keys()]
    const sources = await Promise.all(names.map(name => openSource(this.#api, this.#job, name, this.#closing.signal)))
    names.forEach((name, number) => this.#blocks.get(name)?.replace(sources[number]))
  }

  #ensureContext() {
    this.#context ??= this.#newContext()
    return this.#context
  }

  #newContext() {
    const context = newContext(this.#job.sample_rate)
    // Phones take the sound away for a call.
    context.addEventListener('statechange', () => {
      if (this.#isScheduled && context.state !== 'running') this.pause()
    })
    return context
  }

  #begin() {
    this.#schedule ??= this.#newSchedule()
    for (const blocks of this.#blocks.values()) blocks.retry()
    const isOver = this.#rest >= this.duration - 1 / this.#job.sample_rate
    if (isOver) this.#rest = 0
    this.#schedule.repeat(this.#loopFrames())
    this.#start()
    clearInterval(this.#timer)
    this.#timer = window.setInterval(() => this.#tick(), TICK_MS)
  }

  #start() {
    // The files' level: that of a job that is completed while it plays would fall in the middle of a mix. Until then
    // it plays at the song's own level, which its stems together don't exceed; a start is a break anyway.
    this.#level = this.#job.gain ?? 1
    this.#applyVolumes()
    this.#schedule?.start(this.#frames(this.#rest))
    this.#isScheduled = true
    this.#tick()
  }

  /** Fade out, and rest where that was. */
  #stop() {
    if (!this.#isScheduled || !this.#schedule) return
    const { sampleRate } = /** @type {BaseAudioContext} */ (this.#context)
    this.#rest = this.#schedule.sampleAt(this.#schedule.now) / sampleRate
    this.#schedule.stop()
    this.#isScheduled = false
  }

  #newSchedule() {
    const context = /** @type {BaseAudioContext} */ (this.#context)
    const gate = context.createGain()
    this.#master = context.createGain()
    this.#master.gain.value = this.#volume
    gate.connect(this.#master).connect(context.destination)
    const tracks = [...this.#blocks].map(([name, blocks]) => {
      const gain = context.createGain()
      gain.gain.value = this.heard(name) * this.#level
      gain.connect(gate)
      const analyser = context.createAnalyser()
      analyser.fftSize = METER_SAMPLES
      gain.connect(analyser)
      this.#outputs.set(name, { gain, analyser })
      return { blocks: blocks.rate === context.sampleRate ? blocks : new Resampled(blocks, context.sampleRate), output: gain }
    })
    const { samples, blockSamples } = tracks[0].blocks
    const ahead = Math.round(MOST_AHEAD_SECONDS / BLOCK_SECONDS)
    return new Schedule(context, tracks, { samples, blockSamples, output: gate, ahead })
  }

  #loopFrames() {
    return this.#loop && { start: this.#frames(this.#loop.start), end: this.#frames(this.#loop.end) }
  }

  #repeat() {
    this.#schedule?.repeat(this.#loopFrames())
    this.#tick()
    this.#changed()
  }

  #applyVolumes() {
    for (const [name, { gain }] of this.#outputs) {
      ramp(gain.gain, this.heard(name) * this.#level, /** @type {BaseAudioContext} */ (this.#context))
    }
  }

  /** @param {string} name @param {number} seconds @param {Float32Array[]} channels */
  #arrived(name, seconds, channels) {
    this.#schedule?.arrived()
    if (this.#isScheduled) this.#pump()
    if (this.#job.status === 'completed') return
    const { rate } = /** @type {Blocks} */ (this.#blocks.get(name))
    this.dispatchEvent(new CustomEvent('block', { detail: { name, seconds, rate, channels } }))
  }

  #tick() {
    if (!this.#schedule || !this.#isScheduled) return
    this.#pump()
    this.dispatchEvent(new Event('time'))
    if (this.#schedule.isAtEnd && this.#schedule.now >= this.#schedule.end && this.#schedule.now > 0) this.#end()
  }

  #pump() {
    if (!this.#schedule || this.#context instanceof OfflineAudioContext) return
    this.#schedule.pump(this.#schedule.now + this.#frames(SCHEDULED_SECONDS))
    this.#setStalled(this.#schedule.isStalled)
  }

  #end() {
    this.pause()
    this.#rest = this.duration
    this.#changed()
  }

  /** @param {boolean} isStalled */
  #setStalled(isStalled) {
    if (isStalled === this.isStalled) return
    this.isStalled = isStalled
    this.dispatchEvent(new Event('stall'))
  }

  #suspend() {
    if (this.#context instanceof AudioContext) this.#context.suspend()
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#closing.signal.aborted) return
    this.pause()
    this.dispatchEvent(new CustomEvent('error', { detail: error }))
  }

  #changed() {
    this.dispatchEvent(new Event('change'))
  }
}

/** Return a context at a rate, or at the device's if the browser refuses that. @param {number} sampleRate */
function newContext(sampleRate) {
  try {
    return new AudioContext({ sampleRate })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotSupportedError') return new AudioContext()
    throw error
  }
}

/** @param {AudioParam} gain @param {number} value @param {BaseAudioContext} context */
function ramp(gain, value, context) {
  const { currentTime } = context
  if (currentTime === 0) {
    gain.value = value
    return
  }
  gain.cancelScheduledValues(currentTime)
  gain.setValueAtTime(gain.value, currentTime)
  gain.linearRampToValueAtTime(value, currentTime + RAMP_SECONDS)
}
