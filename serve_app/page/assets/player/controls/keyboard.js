// @ts-check
// The keys of the player, wherever the focus is on the page.

// So soon after M or S a digit names the stem.
const STEM_MS = 2_000

/** @typedef {(event: KeyboardEvent) => void} Action */

/**
 * Runs an action for each key until `close`. Fields keep their keys, and buttons the space bar. Turned off, keys work
 * only where `alwaysIn` has the focus (WCAG 2.2, 2.1.4).
 */
export class Keyboard {
  isOn = true
  #stemKey = ''
  #until = 0

  /**
   * @param {object} options
   * @param {Record<string, Action>} options.actions by `key`, with `Shift+` before it where it is pressed
   * @param {(key: 'm' | 's', number: number) => void} options.onStem for M or S and then a digit, from 0
   * @param {Element} options.alwaysIn
   */
  constructor({ actions, onStem, alwaysIn }) {
    this.#actions = actions
    this.#onStem = onStem
    this.#alwaysIn = alwaysIn
    document.addEventListener('keydown', this.#press)
  }

  #actions
  #onStem
  #alwaysIn

  close() {
    document.removeEventListener('keydown', this.#press)
  }

  #press = (/** @type {KeyboardEvent} */ event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    const target = /** @type {Element} */ (event.target)
    if (isTaken(target, event.key) || (!this.isOn && !this.#alwaysIn.contains(target))) return
    const action = this.#stem(event) ?? this.#actions[name(event)]
    if (!action) return
    event.preventDefault()
    action(event)
  }

  /** @param {KeyboardEvent} event @returns {Action | null} */
  #stem({ key }) {
    const lower = key.toLowerCase()
    if (lower === 'm' || lower === 's') return ({ timeStamp }) => {
      this.#stemKey = lower
      this.#until = timeStamp + STEM_MS
    }
    if (!/^[1-9]$/.test(key)) return null
    return ({ timeStamp }) => {
      if (timeStamp < this.#until) this.#onStem(/** @type {'m' | 's'} */ (this.#stemKey), Number(key) - 1)
    }
  }
}

/** @param {KeyboardEvent} event */
function name({ key, shiftKey }) {
  const named = key.length === 1 ? key.toLowerCase() : key
  return shiftKey && key.length > 1 ? `Shift+${named}` : named
}

/** Whether an element uses a key itself. @param {Element} target @param {string} key */
function isTaken(target, key) {
  if (target.closest('dialog, [role=menu], [role=listbox], [contenteditable]')) return true
  if (target.matches('input[type=range]')) return /^(Arrow|Page|Home|End)/.test(key)
  if (target.matches('input[type=checkbox], button, summary')) return key === ' ' || key === 'Enter'
  return target.matches('input, textarea, select')
}
