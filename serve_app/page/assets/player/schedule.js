// @ts-check
// Plays blocks of all stems in one clock: the same start for all, end to end, in whole samples of the context.

// Fades where a sound would begin or end within the song, so that nothing clicks.
export const FADE_SECONDS = 0.005
// How soon a sound can begin: more than a fade, so that the sound before has ended.
const LEAD_SECONDS = 0.03
// Sooner than this, what is scheduled could come too late.
const LATE_SECONDS = 0.008
// A fade is prepared this long before the scheduled sound runs out.
const BRACE_SECONDS = 0.3

/**
 * Blocks as `Blocks` of blocks.js and `Resampled` have them, at the context's rate, and where they sound.
 * @typedef {object} Track
 * @property {{peek(index: number): Float32Array[] | null, want(indices: number[]): void}} blocks
 * @property {AudioNode} output
 */

/**
 * A scheduled piece. After a seam it goes on at the loop's start, also if the loop has ended meanwhile.
 * @typedef {{frame: number, sample: number, length: number, next: number, isSeam: boolean, sources: AudioBufferSourceNode[]}} Span
 */

/** Plays tracks from any sample on, also into an OfflineAudioContext. Frames are the context's, samples the song's. */
export class Schedule {
  /** @type {Span[]} */
  #spans = []
  /** @type {{frame: number, sample: number} | null} */
  #cursor = null
  #fadesIn = false
  #fadedUntil = 0
  /** The time of a fade that is undone if the sound goes on, or null. @type {number | null} */
  #brace = null
  /** @type {{start: number, end: number} | null} */
  #loop = null
  /** @type {(() => void)[]} */
  #waiting = []
  /** Whether the next sound is missing. */
  isStalled = false

  /**
   * @param {BaseAudioContext} context
   * @param {Track[]} tracks their outputs must lead to `output`, as a fade ends all sound
   * @param {{samples: number, blockSamples: number, output: GainNode, ahead: number}} options
   *   `ahead` is the number of blocks that are loaded before they are needed
   */
  constructor(context, tracks, { samples, blockSamples, output, ahead }) {
    this.#context = context
    this.#tracks = tracks
    this.#samples = samples
    this.#blockSamples = blockSamples
    this.#output = output
    this.#ahead = ahead
    this.#fade = Math.round(FADE_SECONDS * context.sampleRate)
  }

  #context
  #tracks
  #samples
  #blockSamples
  #output
  #ahead
  #fade

  /** The context's current frame. */
  get now() {
    return Math.round(this.#context.currentTime * this.#context.sampleRate)
  }

  /** Whether all of the song is scheduled, and nothing follows. */
  get isAtEnd() {
    return this.#cursor !== null && this.#cursor.sample >= this.#samples
  }

  /** The frame at which the scheduled sound ends. */
  get end() {
    return this.#cursor?.frame ?? this.now
  }

  /** Play from a sample on, as soon as possible. @param {number} sample */
  start(sample) {
    this.#cursor = { frame: this.#soon(), sample }
    this.#fadesIn = sample > 0
    this.isStalled = false
  }

  /** Fade out and play nothing more. */
  stop() {
    const { currentTime, sampleRate } = this.#context
    const at = currentTime + LATE_SECONDS / 2
    const end = Math.ceil((at + FADE_SECONDS) * sampleRate)
    if (currentTime >= this.#fadedUntil) this.#fadeOut(at, end / sampleRate)
    this.#drop(() => true, end)
    this.#cursor = null
  }

  /** Repeat from `start` to `end` whenever `end` is reached; null ends that. @param {{start: number, end: number} | null} loop */
  repeat(loop) {
    this.#loop = loop
    if (this.#cursor === null || !this.#spans.length) return
    const heard = this.now + this.#seconds(LEAD_SECONDS)
    const before = this.#spans.filter(span => span.frame <= heard)
    const last = before.at(-1) ?? this.#spans[0]
    const after = last.sample + last.length
    if (loop && !last.isSeam && last.sample < loop.end && after > loop.end) {
      this.#jump(Math.min(this.sampleAt(this.now), loop.end - 1))
      return
    }
    this.#drop(span => span.frame > last.frame, this.now)
    this.#cursor = { frame: last.frame + last.length, sample: last.isSeam ? last.next : this.#following(after) }
  }

  /** Load the blocks from a sample on, at most `most`. @param {number} sample @param {number} [most] */
  prepare(sample, most = this.#ahead) {
    const wanted = this.#upcoming(sample, most)
    for (const { blocks } of this.#tracks) blocks.want(wanted)
  }

  /** Schedule all loaded sound up to a frame, and load what follows. @param {number} until */
  pump(until) {
    if (this.#cursor === null) return
    this.#forget()
    while (this.#cursor.frame < until && !this.isAtEnd) {
      const piece = this.#piece(this.#cursor.sample)
      const sounds = this.#tracks.map(({ blocks }) => this.#sound(blocks, piece))
      if (sounds.includes(null)) {
        this.#prepareForSilence()
        break
      }
      this.#catchUp()
      this.#play(piece, /** @type {Float32Array[][]} */ (sounds))
    }
    this.prepare(this.#cursor.sample)
  }

  /** Schedule sound up to a frame, waiting for what is not loaded: for contexts that don't run yet. @param {number} until */
  async fill(until) {
    for (this.pump(until); this.#cursor && this.end < until && !this.isAtEnd; this.pump(until)) {
      await new Promise(resolve => this.#waiting.push(() => resolve(undefined)))
    }
  }

  /** A block has been loaded: `fill` goes on. */
  arrived() {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Return the song's sample that sounds at a frame. @param {number} frame */
  sampleAt(frame) {
    const spans = this.#spans
    for (let at = spans.length - 1; at >= 0; at--) {
      const { frame: start, sample, length } = spans[at]
      if (frame >= start) return sample + Math.min(frame - start, length)
    }
    return spans[0]?.sample ?? this.#cursor?.sample ?? 0
  }

  /** @param {number} seconds */
  #seconds(seconds) {
    return Math.ceil(seconds * this.#context.sampleRate)
  }

  /** The first frame at which a sound can begin; an OfflineAudioContext waits for all that begins with it. */
  #soon() {
    const { currentTime, sampleRate } = this.#context
    if (this.#context instanceof OfflineAudioContext && currentTime === 0) return 0
    return Math.ceil(Math.max(currentTime + LEAD_SECONDS, this.#fadedUntil) * sampleRate)
  }

  /** @param {number} sample */
  #jump(sample) {
    this.stop()
    this.start(sample)
  }

  /** Return the sample that is played after the one before `sample`. @param {number} sample */
  #following(sample) {
    return this.#loop && sample === this.#loop.end ? this.#loop.start : sample
  }

  /** The samples before the loop's end that are cross-faded. */
  get #seam() {
    return this.#loop ? Math.min(this.#fade, Math.floor((this.#loop.end - this.#loop.start) / 2)) : 0
  }

  /** Return the samples from one on that are in one block. A seam is a piece of its own, so that a loop can be ended
   * until shortly before it. @param {number} sample */
  #piece(sample) {
    const index = Math.floor(sample / this.#blockSamples)
    const end = Math.min((index + 1) * this.#blockSamples, this.#samples)
    const edges = this.#loop ? [this.#loop.end - this.#seam, this.#loop.end] : []
    return { index, start: sample, end: Math.min(end, ...edges.filter(edge => edge > sample)) }
  }

  /**
   * Return a track's channels in a piece, or null while they are not loaded.
   * @param {Track['blocks']} blocks
   * @param {{index: number, start: number, end: number}} piece
   */
  #sound(blocks, { index, start, end }) {
    const block = blocks.peek(index)
    if (block === null) return null
    const first = index * this.#blockSamples
    const channels = block.map(channel => channel.subarray(start - first, end - first))
    return this.#seamed(blocks, start, end, channels)
  }

  /** Cross-fade the end of the loop with what is before its start, which so begins with all of its sound.
   * @param {Track['blocks']} blocks @param {number} start @param {number} end @param {Float32Array[]} channels */
  #seamed(blocks, start, end, channels) {
    if (!this.#loop) return channels
    const loop = this.#loop
    const fade = this.#seam
    const from = Math.max(start, loop.end - fade)
    const to = Math.min(end, loop.end)
    if (from >= to) return channels
    const before = this.#range(blocks, loop.start - loop.end + from, loop.start - loop.end + to, channels.length)
    if (before === null) return null
    return channels.map((channel, number) => {
      const mixed = channel.slice()
      for (let sample = from; sample < to; sample++) {
        const share = (sample - loop.end + fade + 0.5) / fade
        const at = sample - start
        mixed[at] += share * (before[number][sample - from] - mixed[at])
      }
      return mixed
    })
  }

  /** Return the channels of a range; silence before the song. @param {Track['blocks']} blocks @param {number} start @param {number} end @param {number} count */
  #range(blocks, start, end, count) {
    const channels = Array.from({ length: count }, () => new Float32Array(end - start))
    for (let sample = Math.max(start, 0); sample < end;) {
      const index = Math.floor(sample / this.#blockSamples)
      const block = blocks.peek(index)
      if (block === null) return null
      const first = index * this.#blockSamples
      const stop = Math.min(end, first + this.#blockSamples)
      channels.forEach((to, number) => to.set(block[number].subarray(sample - first, stop - first), sample - start))
      sample = stop
    }
    return channels
  }

  /** @param {{start: number, end: number}} piece @param {Float32Array[][]} sounds */
  #play({ start, end }, sounds) {
    const { frame } = /** @type {{frame: number, sample: number}} */ (this.#cursor)
    const fades = this.#fadesIn
    this.#fadesIn = false
    const sources = sounds.map((channels, number) => {
      const faded = fades ? channels.map(channel => this.#fadedIn(channel)) : channels
      return this.#begin(faded, this.#tracks[number].output, frame)
    })
    const next = this.#following(end)
    this.#spans.push({ frame, sample: start, length: end - start, next, isSeam: next !== end, sources })
    this.#cursor = { frame: frame + end - start, sample: next }
  }

  /** @param {Float32Array[]} channels @param {AudioNode} output @param {number} frame */
  #begin(channels, output, frame) {
    const { sampleRate } = this.#context
    const source = this.#context.createBufferSource()
    source.buffer = this.#context.createBuffer(channels.length, channels[0].length, sampleRate)
    channels.forEach((channel, number) => source.buffer?.copyToChannel(/** @type {any} */ (channel), number))
    source.connect(output)
    source.onended = () => {
      source.disconnect()
      source.buffer = null
    }
    source.start(frame / sampleRate)
    return source
  }

  /** @param {Float32Array} channel */
  #fadedIn(channel) {
    const faded = channel.slice()
    const length = Math.min(this.#fade, faded.length)
    for (let sample = 0; sample < length; sample++) faded[sample] *= (sample + 0.5) / length
    return faded
  }

  /** If the next sound has come after its time, play it as soon as possible; else undo the fade before it. */
  #catchUp() {
    const cursor = /** @type {{frame: number, sample: number}} */ (this.#cursor)
    const { gain } = this.#output
    const { currentTime, sampleRate } = this.#context
    const begins = this.#brace ?? cursor.frame / sampleRate
    if (currentTime > 0 && currentTime > begins - LATE_SECONDS) {
      cursor.frame = Math.max(this.#soon(), cursor.frame)
      this.#fadesIn ||= this.#spans.length > 0
      if (this.#brace !== null) gain.setValueAtTime(1, cursor.frame / sampleRate)
    } else if (this.#brace !== null) {
      gain.cancelScheduledValues(this.#brace)
    }
    this.#brace = null
    this.isStalled = false
  }

  /** Fade out where the scheduled sound ends, if that is soon; and notice when it has ended. */
  #prepareForSilence() {
    const { frame } = /** @type {{frame: number, sample: number}} */ (this.#cursor)
    const { currentTime, sampleRate } = this.#context
    const left = frame / sampleRate - currentTime
    const isSounding = this.#spans.length > 0
    if (isSounding && this.#brace === null && left < BRACE_SECONDS && left > FADE_SECONDS + LATE_SECONDS) {
      this.#brace = frame / sampleRate - FADE_SECONDS
      this.#output.gain.setValueAtTime(1, this.#brace)
      this.#output.gain.linearRampToValueAtTime(0, frame / sampleRate)
    }
    if (left < LATE_SECONDS) this.isStalled = true
  }

  /** @param {number} at @param {number} end */
  #fadeOut(at, end) {
    const { gain } = this.#output
    // Where the sound runs out, it fades already.
    if (this.#brace === null || at < this.#brace) {
      gain.cancelScheduledValues(at)
      gain.setValueAtTime(1, at)
      gain.linearRampToValueAtTime(0, end)
    }
    this.#brace = null
    // Later than the end of the sources, and before the next sound can begin.
    gain.setValueAtTime(1, end + LATE_SECONDS / 2)
    this.#fadedUntil = end + LATE_SECONDS
  }

  /** Stop the sources of spans at a frame. @param {(span: Span) => boolean} isDropped @param {number} frame */
  #drop(isDropped, frame) {
    const { sampleRate } = this.#context
    for (const span of this.#spans) {
      if (!isDropped(span)) continue
      // Not disconnected here: a source that is not connected never ends, and keeps its buffer.
      for (const source of span.sources) source.stop(frame / sampleRate)
    }
    this.#spans = this.#spans.filter(span => !isDropped(span))
  }

  /** Forget the spans that ended a second ago. */
  #forget() {
    const long = this.now - this.#context.sampleRate
    while (this.#spans.length > 1 && this.#spans[0].frame + this.#spans[0].length < long) this.#spans.shift()
  }

  /** @param {number} sample @param {number} most */
  #upcoming(sample, most) {
    const wanted = /** @type {number[]} */ ([])
    const add = (/** @type {number} */ index) => wanted.includes(index) || wanted.push(index)
    for (let steps = 0; steps < most && sample < this.#samples; steps++) {
      const piece = this.#piece(sample)
      add(piece.index)
      sample = this.#following(piece.end)
      if (sample !== piece.end) this.#beforeLoop().forEach(add)
    }
    return wanted
  }

  /** The blocks that the loop's end is cross-faded with. */
  #beforeLoop() {
    const { start } = /** @type {{start: number, end: number}} */ (this.#loop)
    const samples = [start - this.#fade, start - 1].filter(sample => sample >= 0)
    return samples.map(sample => Math.floor(sample / this.#blockSamples))
  }
}
