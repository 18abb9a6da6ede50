// @ts-check
// The sound of one stem as blocks of half a second, loaded by ranges ahead of where they are needed.

import { parseHeader, WavError, WavNeedsMore, writeFloats } from './wav.js'

/** @typedef {import('./wav.js').WavHeader} WavHeader */

export const BLOCK_SECONDS = 0.5

const HEADER_BYTES = 4096
// No wav that this service makes has so much before its samples.
const MOST_HEADER_BYTES = 2 ** 20
// One request loads this much. Playbacks begin two windows earlier on the server, so few long ones are cheaper.
const WAV_REQUEST_SECONDS = 2
const PLAYBACK_REQUEST_SECONDS = 16
// Where the job has not come to yet, requests wait for it one after the other: short ones let all stems advance.
const AWAITED_REQUEST_SECONDS = 2
const PLAYBACK_HEADERS = { 'If-Range': '"playback-wav32f"' }
// In floats: what exceeds full scale before the job's gain is known is not clipped.
const PLAYBACK_FORM = { channels: 2, bits: 32, isFloat: true, offset: 58, frameBytes: 8 }
const LONGEST_PAUSE_SECONDS = 5
// Responses after which the same request can succeed.
const TEMPORARY = new Set([408, 425, 429])

/**
 * Where a stem's samples are, and how they are written.
 * @typedef {object} Source
 * @property {string} path
 * @property {Record<string, string>} headers
 * @property {WavHeader} header
 * @property {number} gain the factor that brings all samples to the song's own level
 * @property {number} requestSeconds
 */

/**
 * Return the source of a stem, without the job's gain: the same sound while the job runs and once it is completed.
 * Completed wavs are read as they are, all others from their playback: a stereo wav of the song's length and rate.
 * @param {any} api
 * @param {any} job
 * @param {string} name
 * @param {AbortSignal} [signal]
 * @returns {Promise<Source>}
 */
export async function openSource(api, job, name, signal) {
  const path = `/job/${job.job_id}/stems/${encodeURIComponent(name)}`
  if (!isStoredWav(job)) return playbackOf(job, path)
  const size = job.stems[name].size
  const header = await readHeader(api, path, size, signal)
  return { path, headers: {}, header, gain: 1 / (job.gain ?? 1), requestSeconds: WAV_REQUEST_SECONDS }
}

/** Whether the stems of a job are wavs that can be read as they are. @param {any} job */
export function isStoredWav(job) {
  return job.status === 'completed' && job.format.startsWith('wav')
}

/** @param {any} job @param {string} path @returns {Source} */
function playbackOf(job, path) {
  const samples = Math.round(job.duration * job.sample_rate)
  return {
    path: `${path}?follow=1&format=wav32f`,
    headers: PLAYBACK_HEADERS,
    header: { ...PLAYBACK_FORM, rate: job.sample_rate, samples },
    gain: 1,
    requestSeconds: PLAYBACK_REQUEST_SECONDS,
  }
}

/** @param {any} api @param {string} path @param {number} size @param {AbortSignal} [signal] */
async function readHeader(api, path, size, signal) {
  for (let bytes = Math.min(HEADER_BYTES, size); ;) {
    const response = await api.bytes(path, { start: 0, end: bytes, signal })
    const buffer = await response.arrayBuffer()
    try {
      return parseHeader(buffer, size)
    } catch (error) {
      if (!(error instanceof WavNeedsMore) || bytes >= Math.min(size, MOST_HEADER_BYTES)) throw error
      bytes = Math.min(Math.max(error.bytes + HEADER_BYTES, 2 * bytes), size, MOST_HEADER_BYTES)
    }
  }
}

/** Whether a request that failed would fail again: it was wrong, or what it reads is. @param {any} error */
export function isFinal(error) {
  const { status = 0 } = error
  return error instanceof WavError || (status >= 400 && status < 500 && !TEMPORARY.has(status))
}

/** Lets at most `places` requests run at once: browsers open few connections to a server, and the page needs some. */
export class Gate {
  /** @type {(() => void)[]} */
  #waiting = []

  /** @param {number} places */
  constructor(places) {
    this.places = places
  }

  /** Wait for a place; call `leave` in any case. */
  async enter() {
    if (this.places > 0) this.places--
    else await new Promise(resolve => this.#waiting.push(() => resolve(undefined)))
  }

  leave() {
    const next = this.#waiting.shift()
    if (next) next()
    else this.places++
  }
}

/** The blocks from `next` up to `end`, which are being loaded. @typedef {{next: number, end: number, controller: AbortController}} Request */

/**
 * The blocks of a stem: the wanted ones are loaded in order, the last used ones are kept.
 *
 * Connections that break and servers that restart are retried for as long as the blocks are wanted. An error that
 * stays is told once by `onError`, until `retry`.
 */
export class Blocks {
  /** @type {Map<number, Float32Array[]>} */
  #kept = new Map()
  /** Blocks that were dropped, to be written again: memory that is freed is collected late. @type {Float32Array[][]} */
  #spare = []
  #bytes = new Uint8Array(0)
  /** @type {number[]} */
  #wanted = []
  /** @type {Request | null} */
  #request = null
  #failures = 0
  #isFailed = false

  /**
   * @param {any} api
   * @param {Source} source
   * @param {{capacity: number, gate: Gate, ready: () => number, onBlock: (seconds: number, channels: Float32Array[]) => void, onError: (error: Error) => void}} options
   *   `capacity` is the number of blocks that are kept; `ready` returns how many seconds of the song are done;
   *   `onBlock` gets where a loaded block begins, and its channels, which are written again later
   */
  constructor(api, source, { capacity, gate, ready, onBlock, onError }) {
    this.#api = api
    this.#source = source
    this.#capacity = capacity
    this.#gate = gate
    this.#ready = ready
    this.#onBlock = onBlock
    this.#onError = onError
  }

  #api
  #source
  #capacity
  #gate
  #ready
  #onBlock
  #onError
  /** The end of the loaded blocks that is furthest in the song, in samples. */
  loaded = 0

  get rate() {
    return this.#source.header.rate
  }

  /** The samples of each channel of the stem. */
  get samples() {
    return this.#source.header.samples
  }

  get blockSamples() {
    return Math.round(this.rate * BLOCK_SECONDS)
  }

  /** Return the channels of a block, or null while it is not loaded. @param {number} index */
  peek(index) {
    const block = this.#kept.get(index)
    if (block === undefined) return null
    this.#kept.delete(index)
    this.#kept.set(index, block)
    return block
  }

  /** Load these blocks in this order; requests that load none of them end. @param {number[]} indices */
  want(indices) {
    this.#wanted = indices
    const request = this.#request
    if (request && !indices.some(index => index >= request.next && index < request.end)) request.controller.abort()
    this.#pull()
  }

  /** Read from another source of the same sound. @param {Source} source */
  replace(source) {
    // The files can have samples of another size than the playback.
    this.#spare = []
    this.#bytes = new Uint8Array(0)
    this.#source = source
    this.#request?.controller.abort()
    this.retry()
  }

  /** Try again after an error that was told. */
  retry() {
    this.#isFailed = false
    this.#pull()
  }

  /** End all requests, and free the blocks. */
  close() {
    this.#isFailed = true
    this.#wanted = []
    this.#request?.controller.abort()
    this.#kept.clear()
    this.#spare = []
  }

  #pull() {
    if (this.#request || this.#isFailed) return
    const first = this.#wanted.find(index => !this.#kept.has(index))
    if (first === undefined) return
    const most = this.#requestEnd(first)
    let end = first + 1
    while (end < most && this.#wanted.includes(end) && !this.#kept.has(end)) end++
    this.#request = { next: first, end, controller: new AbortController() }
    this.#run(this.#request)
  }

  /** The last block, exclusive, that may be in a request from a block on. @param {number} first */
  #requestEnd(first) {
    const done = Math.floor(this.#ready() / BLOCK_SECONDS)
    if (first >= done) return first + AWAITED_REQUEST_SECONDS / BLOCK_SECONDS
    return Math.min(first + this.#source.requestSeconds / BLOCK_SECONDS, done)
  }

  /** @param {Request} request */
  async #run(request) {
    const first = request.next
    try {
      await this.#load(request)
      this.#failures = 0
    } catch (error) {
      if (request.next > first) this.#failures = 0
      await this.#recover(request, error)
    } finally {
      this.#request = null
    }
    this.#pull()
  }

  /** @param {Request} request */
  async #load(request) {
    const { signal } = request.controller
    await this.#gate.enter()
    try {
      signal.throwIfAborted()
      const { path, headers, header } = this.#source
      const start = header.offset + request.next * this.blockSamples * header.frameBytes
      const end = header.offset + Math.min(request.end * this.blockSamples, header.samples) * header.frameBytes
      const response = await this.#api.bytes(path, { start, end, headers, signal })
      if (response.status !== 206 && start > 0) throw new WavError('The server does not send parts of the stem.')
      await this.#read(response.body.getReader(), request)
    } finally {
      this.#gate.leave()
    }
  }

  /** Keep each block as soon as all of it has come. @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {Request} request */
  async #read(reader, request) {
    let block = this.#blockBytes(request.next)
    let filled = 0
    try {
      while (request.next < request.end) {
        const { value, done } = await reader.read()
        request.controller.signal.throwIfAborted()
        if (done) throw new TypeError('The response ended early.')
        for (let at = 0; at < value.length && request.next < request.end;) {
          const piece = value.subarray(at, at + block.length - filled)
          block.set(piece, filled)
          at += piece.length
          filled += piece.length
          if (filled < block.length) continue
          this.#keep(request.next++, block)
          block = this.#blockBytes(request.next)
          filled = 0
        }
      }
    } finally {
      // Frees the connection, also if there is more in it than was requested.
      reader.cancel().catch(() => {})
    }
  }

  /** The place for a block's bytes, always the same one. @param {number} index */
  #blockBytes(index) {
    const { frameBytes } = this.#source.header
    if (!this.#bytes.length) this.#bytes = new Uint8Array(this.blockSamples * frameBytes)
    return this.#bytes.subarray(0, Math.max(this.#samplesOf(index), 0) * frameBytes)
  }

  /** @param {number} index */
  #samplesOf(index) {
    return Math.min(this.blockSamples, this.samples - index * this.blockSamples)
  }

  /** @param {number} index @param {Uint8Array} bytes */
  #keep(index, bytes) {
    const { header, gain } = this.#source
    this.#dropOldest()
    const channels = this.#emptyBlock(index)
    writeFloats(bytes, header, gain, channels)
    this.#kept.set(index, channels)
    this.loaded = Math.max(this.loaded, index * this.blockSamples + channels[0].length)
    this.#onBlock((index * this.blockSamples) / this.rate, channels)
  }

  /** @param {number} index */
  #emptyBlock(index) {
    const samples = this.#samplesOf(index)
    const spare = samples === this.blockSamples ? this.#spare.pop() : undefined
    return spare ?? Array.from({ length: this.#source.header.channels }, () => new Float32Array(samples))
  }

  #dropOldest() {
    for (const [index, block] of this.#kept) {
      if (this.#kept.size < this.#capacity) break
      if (this.#wanted.includes(index)) continue
      this.#kept.delete(index)
      if (block[0].length === this.blockSamples) this.#spare.push(block)
    }
  }

  /** Wait until the request can be tried again, or tell an error that stays. @param {Request} request @param {any} error */
  async #recover(request, error) {
    const { signal } = request.controller
    if (signal.aborted) return
    if (isFinal(error)) {
      this.#isFailed = true
      this.#onError(error)
      return
    }
    const seconds = error.retryAfterSeconds ?? Math.min(0.25 * 2 ** this.#failures, LONGEST_PAUSE_SECONDS)
    this.#failures++
    await pause(seconds, signal)
  }
}

/** Wait; not longer than until the signal. @param {number} seconds @param {AbortSignal} signal @returns {Promise<void>} */
function pause(seconds, signal) {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, 1000 * seconds)
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
