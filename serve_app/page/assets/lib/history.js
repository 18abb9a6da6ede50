// The songs that were sent from this browser. It has titles and ids, and no secrets.

const NAME = 'songs'
const MOST = 100
const STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled']
const FIELDS = ['id', 'filename', 'status', 'progress', 'created_at', 'updated_at', 'expires_at', 'model', 'duration', 'cache']

/** Entries, newest first. Fires `change`. */
export class History extends EventTarget {
  /** @param {import('./store.js').Store} store */
  constructor(store) {
    super()
    this.store = store
  }

  /** The songs that the server may still have. */
  get entries() {
    const now = Date.now()
    const kept = this.store.get(NAME, [])
    const entries = Array.isArray(kept) ? kept.filter(isEntry) : []
    return entries.filter((each) => !each.expires_at || Date.parse(each.expires_at) > now)
  }

  /** Add a job, or update its entry. @param {Record<string, any>} job as the API returns it */
  note(job) {
    const id = job.job_id
    const before = this.entries.find((each) => each.id === id)
    const entry = Object.fromEntries(FIELDS.map((name) => [name, job[name] ?? before?.[name]]))
    const created = before?.created_at ?? new Date().toISOString()
    this.#keep(id, { ...entry, id, created_at: entry.created_at ?? created })
  }

  /** Update a job's entry if it has one: others' songs are not ours. @param {Record<string, any>} job */
  update(job) {
    if (this.entries.some((each) => each.id === job.job_id)) this.note(job)
  }

  /** @param {string} id */
  remove(id) {
    this.#save(this.entries.filter((each) => each.id !== id))
  }

  /**
   * How long songs took with a model, waiting included, as a share of their length; or null.
   * @param {string} model
   */
  pace(model) {
    const done = this.entries.filter(
      (each) => each.status === 'completed' && each.model === model && each.cache !== 'hit' && each.duration > 0)
    if (!done.length) return null
    const last = done.slice(0, 5)
    const took = last.map((each) => (Date.parse(each.updated_at) - Date.parse(each.created_at)) / 1000)
    return sum(took) / sum(last.map((each) => each.duration))
  }

  #keep(id, entry) {
    const others = this.entries.filter((each) => each.id !== id)
    this.#save([entry, ...others].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at)))
  }

  #save(entries) {
    this.store.set(NAME, entries.slice(0, MOST))
    this.dispatchEvent(new Event('change'))
  }
}

/** Whether it is one of ours: other programs on this host and port share the storage. */
function isEntry(each) {
  return typeof each?.id === 'string' && typeof each.filename === 'string' && STATUSES.includes(each.status) &&
    isTime(each.created_at) && [each.updated_at, each.expires_at].every((time) => time == null || isTime(time)) &&
    [each.duration, each.progress].every((value) => value == null || Number.isFinite(value))
}

function isTime(value) {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}

function sum(values) {
  return values.reduce((total, each) => total + each, 0)
}
