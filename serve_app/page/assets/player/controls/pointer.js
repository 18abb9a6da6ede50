// @ts-check
// What a mouse, a pen or fingers mean on the timeline.

// A finger that moves less than this taps.
const TAP_PIXELS = 6
// Two fingers zoom by one step when their distance has changed by this factor.
const PINCH_FACTOR = 1.4
const WHEEL_STEP_PIXELS = 25

/** @typedef {'start' | 'end'} Edge */

/**
 * Dragging seeks; with Shift it sets a loop, at a loop's handle it moves that edge; a finger moves a zoomed view, two
 * fingers zoom. The wheel zooms with Ctrl, and moves a zoomed view sideways.
 */
export class Pointer {
  /** @type {Map<number, {x: number, y: number}>} */
  #down = new Map()
  #kind = ''
  #from = 0
  #moved = 0
  /** @type {Edge | null} */
  #edge = null
  #spread = 0
  #wheel = 0

  /** @type {(seconds: number, isDone: boolean) => void} */
  onSeek = () => {}
  /** @type {(start: number, end: number, isDone: boolean) => void} */
  onLoop = () => {}
  /** @type {(edge: Edge, seconds: number, isDone: boolean) => void} */
  onEdge = () => {}
  onCancel = () => {}
  /** @type {(pixels: number) => void} */
  onPan = () => {}
  /** @type {(steps: 1 | -1, x: number) => void} */
  onZoom = () => {}

  /**
   * @param {HTMLElement} node
   * @param {{secondsAt: (x: number) => number, canPan: () => boolean, edgeAt: (target: any) => Edge | null}} options
   *   `edgeAt` returns which handle of a loop an element is
   */
  constructor(node, { secondsAt, canPan, edgeAt }) {
    this.#node = node
    this.#secondsAt = secondsAt
    this.#canPan = canPan
    this.#edgeAt = edgeAt
    node.addEventListener('pointerdown', event => this.#press(event))
    node.addEventListener('pointermove', event => this.#move(event))
    node.addEventListener('pointerup', event => this.#release(event, true))
    node.addEventListener('pointercancel', event => this.#release(event, false))
    node.addEventListener('wheel', event => this.#turn(event), { passive: false })
  }

  #node
  #secondsAt
  #canPan
  #edgeAt

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return
    this.#node.setPointerCapture(event.pointerId)
    this.#down.set(event.pointerId, { x: event.clientX, y: event.clientY })
    if (this.#down.size === 2) {
      this.#kind = 'pinch'
      this.#spread = this.#distance()
      return
    }
    this.#edge = this.#edgeAt(event.target)
    this.#from = this.#seconds(event)
    this.#moved = 0
    const pans = event.pointerType === 'touch' && this.#canPan()
    this.#kind = this.#edge ? 'edge' : event.shiftKey ? 'loop' : pans ? 'pan' : 'seek'
    if (this.#kind === 'seek') this.onSeek(this.#from, false)
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const last = this.#down.get(event.pointerId)
    if (!last) return
    const by = event.clientX - last.x
    this.#moved += Math.abs(by)
    this.#down.set(event.pointerId, { x: event.clientX, y: event.clientY })
    if (this.#kind === 'pan') this.onPan(-by)
    else if (this.#kind === 'pinch') this.#pinch()
    else this.#report(event, false)
  }

  /** @param {PointerEvent} event @param {boolean} isDone */
  #release(event, isDone) {
    if (!this.#down.delete(event.pointerId)) return
    const isTap = this.#moved < TAP_PIXELS
    if (!isDone || (this.#kind === 'loop' && isTap)) this.onCancel()
    else if (this.#kind === 'pan' && isTap) this.onSeek(this.#seconds(event), true)
    else this.#report(event, true)
    if (this.#down.size === 0) this.#kind = ''
  }

  /** @param {PointerEvent} event @param {boolean} isDone */
  #report(event, isDone) {
    const seconds = this.#seconds(event)
    if (this.#kind === 'seek') this.onSeek(seconds, isDone)
    if (this.#kind === 'edge') this.onEdge(/** @type {Edge} */ (this.#edge), seconds, isDone)
    if (this.#kind === 'loop') this.onLoop(this.#from, seconds, isDone)
  }

  #pinch() {
    const spread = this.#distance()
    const steps = spread > this.#spread * PINCH_FACTOR ? -1 : spread * PINCH_FACTOR < this.#spread ? 1 : 0
    if (steps === 0) return
    this.#spread = spread
    const [a, b] = [...this.#down.values()]
    this.onZoom(steps, (a.x + b.x) / 2 - this.#node.getBoundingClientRect().left)
  }

  #distance() {
    const [a, b] = [...this.#down.values()]
    return Math.hypot(a.x - b.x, a.y - b.y)
  }

  /** @param {WheelEvent} event */
  #turn(event) {
    if (!event.ctrlKey && !event.metaKey) {
      this.#scroll(event)
      return
    }
    event.preventDefault()
    // Trackpads send many small turns for one step.
    this.#wheel += event.deltaY
    if (Math.abs(this.#wheel) < WHEEL_STEP_PIXELS) return
    this.#wheel = 0
    this.onZoom(event.deltaY > 0 ? 1 : -1, event.clientX - this.#node.getBoundingClientRect().left)
  }

  /** Move sideways; a turn up or down is the page's. @param {WheelEvent} event */
  #scroll(event) {
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)
    if (!isSideways || !this.#canPan()) return
    event.preventDefault()
    this.onPan(event.deltaX || event.deltaY)
  }

  /** @param {PointerEvent} event */
  #seconds(event) {
    return this.#secondsAt(event.clientX - this.#node.getBoundingClientRect().left)
  }
}
