// The HTTP API, with the key and without the network's whims.

import { follow } from './follow.js'
import { pause } from './pause.js'
import { ApiError, problem } from './problem.js'

export { ApiError }

const PROBE_MS = [500, 1000, 2000, 4000]

/** The API below a path. Fires `down` when the server does not answer, then `up`. */
export class Api extends EventTarget {
  /**
   * @param {string} root the path before all paths, '' or '/prefix'
   * @param {import('./keys.js').Keys} keys
   */
  constructor(root, keys) {
    super()
    this.root = root
    this.keys = keys
    /** @type {Promise<void> | null} */
    this.probing = null
  }

  /** The URL of a path, without a key. @param {string} path */
  url(path) {
    return this.root + path
  }

  /** The parsed JSON of a response. @param {string} path @param {RequestInit & {isBackground?: boolean}} [init] */
  async json(path, init = {}) {
    const response = await this.request(path, init)
    if (!response.ok) throw await problem(response)
    return response.status === 204 ? null : response.json()
  }

  /**
   * The same, but wait for a server that is away or busy.
   * @param {string} path
   * @param {AbortSignal} [signal]
   */
  async patiently(path, signal) {
    for (;;) {
      try {
        return await this.json(path, { signal })
      } catch (error) {
        signal?.throwIfAborted()
        if (error instanceof ApiError && !error.isTemporary) throw error
        if (error instanceof ApiError) await pause(1000 * (error.retryAfterSeconds ?? 2), signal)
        else await this.back()
      }
    }
  }

  /**
   * The response with the bytes from `start` to before `end`.
   * @param {string} path
   * @param {{start?: number, end?: number, headers?: Record<string, string>, signal?: AbortSignal}} options
   */
  async bytes(path, { start = 0, end, headers = {}, signal } = {}) {
    const range = `bytes=${start}-${end === undefined ? '' : end - 1}`
    const response = await this.request(path, { headers: { ...headers, Range: range }, signal })
    if (response.status !== 206 && response.status !== 200) throw await problem(response)
    return response
  }

  /** A URL that opens a path without headers. @param {string} path */
  async link(path) {
    if (!this.keys.value) return this.url(path)
    const { links } = await this.post('/links', { paths: [path] })
    const token = new URL(links[0].url).searchParams.get('token')
    // On this page's own address: the server may know itself by another.
    return token ? `${this.url(path)}${path.includes('?') ? '&' : '?'}token=${encodeURIComponent(token)}` : this.url(path)
  }

  /** The response to a JSON body. @param {string} path @param {object} body @param {RequestInit} [init] */
  post(path, body, init = {}) {
    const headers = { 'Content-Type': 'application/json', ...init.headers }
    return this.json(path, { ...init, method: 'POST', headers, body: JSON.stringify(body) })
  }

  /** Throw what the API says if a path can't be opened. @param {string} path */
  async check(path) {
    const response = await this.request(path, { method: 'HEAD' })
    if (response.ok || response.status === 405) return
    // The reason is in the body, which HEAD has not.
    await this.json(path)
  }

  /** @param {string} id */
  job(id) {
    return this.json(`/job/${encodeURIComponent(id)}`)
  }

  models() {
    return this.json('/models')
  }

  /** Cancel and delete a job. @param {string} id */
  cancel(id) {
    return this.json(`/job/${encodeURIComponent(id)}`, { method: 'DELETE' })
  }

  /**
   * Call `onJob` with a job now and whenever it changes, until it is over.
   * @param {string} id
   * @param {(job: any) => void} onJob
   * @param {AbortSignal} signal
   * @param {(isUp: boolean) => void} [onConnection]
   */
  events(id, onJob, signal, onConnection = () => {}) {
    return follow(this, id, { onJob, signal, onConnection })
  }

  /**
   * Send a form to /separate; return the accepted job.
   * @param {FormData} form
   * @param {{onProgress?: (share: number) => void, signal?: AbortSignal, once?: string}} options
   *   `once` is the Idempotency-Key, for a form that may be sent again
   */
  async upload(form, { onProgress = () => {}, signal, once } = {}) {
    for (;;) {
      const key = this.keys.value
      const answer = await sent(this.url('/separate'), form, {
        headers: { ...this.keys.headers, ...(once && { 'Idempotency-Key': once }) },
        onProgress,
        signal,
      }).catch((error) => this.#lost(error, signal))
      if (answer.status !== 401) {
        if (!answer.ok) throw await problem(answer)
        return answer.json()
      }
      await this.#keyed(key, answer)
    }
  }

  /**
   * Fetch a path with the key; ask for one if the server wants it, unless nobody waits
   * for the response or a person has just given none.
   * @param {string} path
   * @param {RequestInit & {isBackground?: boolean}} [init]
   */
  async request(path, init = {}) {
    for (;;) {
      const key = this.keys.value
      const headers = { ...init.headers, ...this.keys.headers }
      const response = await fetch(this.url(path), { ...init, headers })
        .catch((error) => this.#lost(error, init.signal))
      if (response.status !== 401 || init.isBackground || this.keys.isDeclined) return response
      await this.#keyed(key, response)
    }
  }

  /** Resolve when the server answers again. */
  back() {
    this.probing ??= this.#probe().finally(() => { this.probing = null })
    return this.probing
  }

  async #probe() {
    this.dispatchEvent(new Event('down'))
    for (let tries = 0; !(await this.#answers()); tries += 1) {
      await pause(PROBE_MS[Math.min(tries, PROBE_MS.length - 1)] * (0.8 + 0.4 * Math.random()))
    }
    this.dispatchEvent(new Event('up'))
  }

  async #answers() {
    try {
      return (await fetch(this.url('/ping'), { cache: 'no-store' })).ok
    } catch {
      return false
    }
  }

  /** Say that the connection is lost, unless the request was aborted. @returns {never} */
  #lost(error, signal) {
    if (!signal?.aborted) this.back()
    throw error
  }

  async #keyed(key, response) {
    const refusal = await problem(response)
    // A person may have given another key meanwhile.
    if (this.keys.value !== key) return
    await this.keys.ask(refusal.detail).catch(() => { throw refusal })
  }
}

/** Send a form by XMLHttpRequest, which reports how much is sent; return a Response. */
function sent(url, form, { headers, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const request = new XMLHttpRequest()
    request.open('POST', url)
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0)
    request.upload.onload = () => onProgress(1)
    request.onload = () => resolve(asResponse(request))
    request.onerror = () => reject(new TypeError('The connection was lost.'))
    request.onabort = () => reject(signal?.reason ?? new DOMException('Aborted', 'AbortError'))
    signal?.addEventListener('abort', () => request.abort(), { once: true })
    request.send(form)
  })
}

function asResponse(request) {
  const lines = request.getAllResponseHeaders().trim().split(/[\r\n]+/).filter(Boolean)
  const headers = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
  return new Response(request.responseText, { status: request.status, statusText: request.statusText, headers })
}
