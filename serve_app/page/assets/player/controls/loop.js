// @ts-check
// The loop that a person has set, whether it is on or not.

/** Keeps a loop when it is off. Event: `change`. */
export class Loop extends EventTarget {
  /** In seconds. @type {{start: number, end: number} | null} */
  range = null

  /** @param {import('../player.js').Player} player */
  constructor(player) {
    super()
    this.#player = player
  }

  #player

  get isOn() {
    return this.#player.looped !== null
  }

  /** Set a loop and turn it on. @param {number} start @param {number} end */
  set(start, end) {
    this.#begin(Math.min(start, end), Math.max(start, end))
    this.dispatchEvent(new Event('change'))
  }

  /** Turn the loop on or off; `initial` is set if there was none. @param {() => {start: number, end: number}} initial */
  toggle(initial) {
    if (this.isOn) this.#player.unloop()
    else {
      const { start, end } = this.range ?? initial()
      this.#begin(start, end)
    }
    this.dispatchEvent(new Event('change'))
  }

  /** @param {number} start @param {number} end */
  #begin(start, end) {
    this.#player.loop(start, end)
    this.range = this.#player.looped
    // Behind its end it would never be heard.
    if (this.range && this.#player.position >= this.range.end) this.#player.seek(this.range.start)
  }
}
