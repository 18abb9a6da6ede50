// The API key: in memory, or in this browser if asked. It is never part of a URL.

const NAME = 'key'

/** The key of this page. Fires `change`, and `ask` when a person must give one. */
export class Keys extends EventTarget {
  /** @param {import('./store.js').Store} store */
  constructor(store) {
    super()
    this.store = store
    /** @type {string} */
    this.value = usable(store.get(NAME, ''))
    this.reason = ''
    /** Whether a person gave no key when asked, and has not done anything since that needs one. */
    this.isDeclined = false
    this.waiting = null
  }

  /** Whether the key is kept in this browser. */
  get isKept() {
    return this.value !== '' && this.store.get(NAME, '') === this.value
  }

  /** The headers of a request. Not `Authorization`: a proxy may use that for itself. */
  get headers() {
    return this.value ? { 'X-API-Key': this.value } : {}
  }

  /** @param {string} value @param {boolean} isKept whether this browser keeps it */
  use(value, isKept) {
    this.value = value
    this.reconsider()
    if (isKept) this.store.set(NAME, value)
    else this.store.remove(NAME)
    this.waiting?.resolve()
    this.waiting = null
    this.dispatchEvent(new Event('change'))
  }

  /** Remove the key from memory and from this browser. */
  forget() {
    this.value = ''
    this.store.remove(NAME)
    this.dispatchEvent(new Event('change'))
  }

  /**
   * Ask for a key; resolve when there is one, reject when the person declines.
   * @param {string} reason what the server said
   */
  ask(reason) {
    this.reason = reason
    if (!this.waiting) {
      this.waiting = {}
      this.waiting.promise = new Promise((resolve, reject) => Object.assign(this.waiting, { resolve, reject }))
      // Whoever waits hears of it; there may be nobody.
      this.waiting.promise.catch(() => {})
    }
    this.dispatchEvent(new Event('ask'))
    return this.waiting.promise
  }

  /** What needs a key may ask for it again. */
  reconsider() {
    this.isDeclined = false
  }

  /** The person gives no key. */
  decline() {
    this.isDeclined = this.waiting !== null
    this.waiting?.reject(new Error(this.reason))
    this.waiting = null
  }
}

/** What was kept, unless no header can carry it. */
function usable(kept) {
  return typeof kept === 'string' && /^[!-~]*$/.test(kept) ? kept : ''
}
