// What the page keeps in this browser. Where that is forbidden, it is kept in memory.

/** Values by name, as JSON in localStorage. */
export class Store {
  /** @param {string} prefix separates several servers below one origin */
  constructor(prefix) {
    this.prefix = `stemserve${prefix}:`
    this.memory = new Map()
  }

  /** @param {string} name @param {any} [fallback] what is returned if there is no valid value */
  get(name, fallback = null) {
    try {
      const text = localStorage.getItem(this.prefix + name) ?? this.memory.get(name)
      return text === undefined || text === null ? fallback : JSON.parse(text)
    } catch {
      return JSON.parse(this.memory.get(name) ?? 'null') ?? fallback
    }
  }

  /** @param {string} name @param {any} value */
  set(name, value) {
    const text = JSON.stringify(value)
    try {
      localStorage.setItem(this.prefix + name, text)
      this.memory.delete(name)
    } catch {
      // Storage is full, or the browser forbids it.
      this.memory.set(name, text)
    }
  }

  /** @param {string} name */
  remove(name) {
    this.memory.delete(name)
    try {
      localStorage.removeItem(this.prefix + name)
    } catch {
      // There is nothing to remove where storage is forbidden.
    }
  }
}
