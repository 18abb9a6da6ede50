// Songs on their way to the server: two at a time, through refusals and restarts.

import { ApiError } from './api.js'
import { pause } from './pause.js'

const AT_ONCE = 2
// Of one song, with a server that answers otherwise.
const MOST_LOSSES = 5
const DEFAULT_WAIT_SECONDS = 5
// Timers may fire a little early.
const TIMER_MS = 20

/**
 * @typedef {object} Item
 * @property {number} number
 * @property {string} name
 * @property {File | null} file
 * @property {string} url
 * @property {Record<string, string>} options the fields of the form
 * @property {'waiting' | 'sending' | 'checking' | 'held' | 'lost' | 'failed'} state
 * @property {number} sent from 0 to 1
 * @property {ApiError | null} error
 * @property {number} heldUntil in ms since 1970
 * @property {number} losses
 * @property {string} once the Idempotency-Key
 * @property {AbortController} stop
 */

/** The queue of songs to send. Fires `change`; `sent` with the job and the item. */
export class Uploads extends EventTarget {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super()
    this.api = api
    /** @type {Item[]} */
    this.items = []
    this.count = 0
    this.heldUntil = 0
  }

  /** Whether closing the page would lose songs. */
  get isBusy() {
    return this.items.some((item) => item.state !== 'failed')
  }

  /**
   * @param {Array<{name: string, file?: File, url?: string}>} songs
   * @param {Record<string, string>} options
   */
  add(songs, options) {
    for (const { name, file = null, url = '' } of songs) this.items.push(this.#item(name, file, url, options))
    this.#changed()
  }

  /** @param {Item} item */
  cancel(item) {
    item.stop.abort()
    this.#remove(item)
  }

  /** Send a failed song again, as a new request. @param {Item} item */
  again(item) {
    Object.assign(item, { state: 'waiting', error: null, sent: 0, losses: 0, once: uuid() })
    this.#changed()
  }

  /** @returns {Item} */
  #item(name, file, url, options) {
    this.count += 1
    const fresh = { sent: 0, error: null, heldUntil: 0, losses: 0, once: uuid(), stop: new AbortController() }
    return { number: this.count, name, file, url, options, state: 'waiting', ...fresh }
  }

  #changed() {
    this.dispatchEvent(new Event('change'))
    this.#next()
  }

  #remove(item) {
    this.items = this.items.filter((each) => each !== item)
    this.#changed()
  }

  #next() {
    const running = this.items.filter((item) => ['sending', 'checking', 'lost'].includes(item.state))
    if (running.length >= AT_ONCE || Date.now() < this.heldUntil) return
    const item = this.items.find((each) => each.state === 'waiting')
    if (!item) return
    item.state = 'sending'
    this.#send(item)
    this.#changed()
  }

  async #send(item) {
    try {
      const job = await this.#deliver(item)
      this.dispatchEvent(new CustomEvent('sent', { detail: { job, item } }))
      this.#remove(item)
    } catch (error) {
      if (!item.stop.signal.aborted) await this.#failed(item, error)
    }
  }

  #deliver(item) {
    const { signal } = item.stop
    if (item.url) {
      item.state = 'checking'
      return this.api.post('/separate', { url: item.url, ...item.options }, { headers: { 'Idempotency-Key': item.once }, signal })
    }
    const onProgress = (share) => {
      Object.assign(item, { sent: share, state: share < 1 ? 'sending' : 'checking' })
      this.dispatchEvent(new Event('change'))
    }
    return this.api.upload(form(item), { onProgress, signal, once: item.once })
  }

  async #failed(item, error) {
    const isRefusal = error instanceof ApiError
    if (isRefusal && error.isTemporary) return this.#hold(item, error)
    item.losses += 1
    if (isRefusal || item.losses > MOST_LOSSES) {
      Object.assign(item, { state: 'failed', error: isRefusal ? error : null })
      return this.#changed()
    }
    Object.assign(item, { state: 'lost', sent: 0 })
    this.#changed()
    await this.api.back()
    if (this.items.includes(item)) Object.assign(item, { state: 'waiting' })
    this.#changed()
  }

  /** Let all songs wait for as long as the server says: it would refuse the others too. */
  async #hold(item, error) {
    const until = Date.now() + 1000 * (error.retryAfterSeconds ?? DEFAULT_WAIT_SECONDS)
    this.heldUntil = Math.max(this.heldUntil, until)
    Object.assign(item, { state: 'held', error, heldUntil: until, sent: 0 })
    this.#changed()
    // Not with the item's signal: the others wait for this too.
    await pause(until - Date.now() + TIMER_MS)
    if (item.state === 'held') Object.assign(item, { state: 'waiting', error: null })
    this.#changed()
  }
}

function form(item) {
  const form = new FormData()
  for (const [name, value] of Object.entries(item.options)) form.append(name, value)
  // Last, so that the server knows the options before the song.
  form.append('file', item.file, item.file.name)
  return form
}

/** A random id. Not crypto.randomUUID, which plain http pages don't have. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
