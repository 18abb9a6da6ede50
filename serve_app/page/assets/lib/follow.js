// A job as it changes: by server-sent events, or by polling where those don't get through.

import { messages } from './events.js'
import { pause } from './pause.js'
import { ApiError, problem } from './problem.js'

const OVER = new Set(['completed', 'failed', 'cancelled'])
// The server sends the job at once, and something at least every 15 s.
const FIRST_MS = 8000
const SILENT_MS = 40000
const POLL_MS = 2000
const MOST_MS = 15000
// A stream that ends earlier counts as a failure.
const BRIEF_MS = 1000

/** Whether a job will not change any more. @param {{status: string}} job */
export function isOver(job) {
  return OVER.has(job.status)
}

/**
 * Follow a job until it is over, through lost connections and restarts of the server.
 * @param {import('./api.js').Api} api
 * @param {string} id
 * @param {{onJob: (job: any) => void, signal: AbortSignal, onConnection: (isUp: boolean) => void}} options
 */
export async function follow(api, id, options) {
  await new Following(api, id, options).run()
}

class Following {
  constructor(api, id, { onJob, signal, onConnection }) {
    this.api = api
    this.onJob = onJob
    this.signal = signal
    this.onConnection = onConnection
    this.path = `/job/${encodeURIComponent(id)}`
    this.lastId = ''
    this.retryMs = 1000
    this.isDone = false
    this.isPolling = false
    // In a row.
    this.failures = 0
  }

  async run() {
    while (!this.isDone && !this.signal.aborted) {
      try {
        await (this.isPolling ? this.poll() : this.stream())
      } catch (error) {
        if (this.signal.aborted) return
        if (error instanceof ApiError && !error.isTemporary && error.status < 500) throw error
        await this.recover(error)
      }
    }
  }

  async stream() {
    const stop = new AbortController()
    const watch = new Watch(stop)
    watch.within(FIRST_MS)
    const began = performance.now()
    const before = this.lastId
    try {
      const response = await this.api.request(`${this.path}/events`, {
        headers: { Accept: 'text/event-stream', ...(before && { 'Last-Event-ID': before }) },
        signal: AbortSignal.any([this.signal, stop.signal]),
      })
      if (response.status === 204) { this.isDone = true; return }
      if (!response.ok) throw await problem(response)
      const isStream = response.headers.get('Content-Type')?.startsWith('text/event-stream')
      if (!response.body || !isStream) { this.isPolling = true; return }
      await this.read(response.body, watch)
    } catch (error) {
      // A proxy that holds the stream back until it ends is of no use here.
      if (watch.isLate && !watch.isHeard) this.isPolling = true
      else if (!watch.isLate) throw error
    } finally {
      watch.stop()
    }
    if (this.isDone) return
    this.failures = performance.now() - began < BRIEF_MS ? this.failures + 1 : 0
    await pause(this.delay(), this.signal)
  }

  async read(body, watch) {
    for await (const message of messages(body)) {
      watch.heard()
      watch.within(SILENT_MS)
      this.onConnection(true)
      if (message.retry !== undefined) this.retryMs = message.retry
      if (message.data === undefined) continue
      this.lastId = message.id
      this.pass(JSON.parse(message.data))
      if (this.isDone) return
    }
  }

  async poll() {
    this.pass(await this.api.json(this.path, { signal: this.signal }))
    this.onConnection(true)
    this.failures = 0
    if (!this.isDone) await pause(POLL_MS, this.signal)
  }

  pass(job) {
    this.isDone = isOver(job)
    this.onJob(job)
  }

  /** The pause before the next connection: longer if streams end at once. */
  delay() {
    return Math.min(MOST_MS, this.retryMs * 2 ** Math.max(0, this.failures - 1))
  }

  async recover(error) {
    this.onConnection(false)
    this.failures += 1
    if (!(error instanceof ApiError)) {
      await this.api.back()
      // Replicas behind a proxy come back one after the other.
      if (this.failures > 1) await pause(Math.min(MOST_MS, 250 * 2 ** this.failures), this.signal).catch(() => {})
      return
    }
    const seconds = error.retryAfterSeconds ?? Math.min(15, 2 ** this.failures)
    await pause(1000 * seconds, this.signal).catch(() => {})
  }
}

/** Aborts a connection that is silent for too long. */
class Watch {
  constructor(controller) {
    this.controller = controller
    this.isHeard = false
    this.isLate = false
    this.timer = 0
  }

  heard() {
    this.isHeard = true
  }

  within(ms) {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => { this.isLate = true; this.controller.abort() }, ms)
  }

  stop() {
    clearTimeout(this.timer)
  }
}
