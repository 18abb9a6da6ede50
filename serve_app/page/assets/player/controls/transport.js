// @ts-check
// Play, the position, the loop, zoom and the volume of all.

import { el, svg } from '../../lib/dom.js'
import { clock, parseClock } from './times.js'
import { volumeSlider } from './stem_row.js'

const ICONS = {
  play: 'M7 4.5v15l13-7.5z',
  pause: 'M6 4.5h4.2v15H6zM13.8 4.5H18v15h-4.2z',
}

/** The bar above the timeline. */
export class Transport {
  /**
   * @param {object} options
   * @param {import('../player.js').Player} options.player
   * @param {import('./loop.js').Loop} options.loop
   * @param {(name: string, values?: object) => string} options.t
   * @param {Record<string, () => void>} options.on `play`, `loop`, `closer`, `wider`, `whole` and `help`
   */
  constructor({ player, loop, t, on }) {
    this.#player = player
    this.#loop = loop
    this.#t = t
    this.#icon = svg('path', { d: ICONS.play })
    this.#play = el('button', { type: 'button', class: 'play', on: { click: on.play } }, svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': true }, this.#icon))
    this.#position = el('span', { class: 'position' })
    this.#duration = el('span', { class: 'duration' }, ` / ${clock(player.duration)}`)
    this.#loopButton = button('toggle loop', t('player.loop'), on.loop)
    this.#wrong = el('p', { id: 'loop-wrong', class: 'error', role: 'alert' })
    this.#start = this.#field('player.loopStart', 'start')
    this.#end = this.#field('player.loopEnd', 'end')
    this.#volume = volumeSlider(t('player.volume'), value => { player.volume = value })
    this.node = el(
      'div',
      { class: 'transport' },
      this.#play,
      el('div', { class: 'clock' }, this.#position, this.#duration),
      el('div', { class: 'loop-controls', role: 'group', 'aria-label': t('player.loop') }, this.#loopButton, this.#start, '–', this.#end, this.#wrong),
      el('div', { class: 'zoom', role: 'group', 'aria-label': t('player.zoom') }, ...this.#zoomButtons(on)),
      el('label', { class: 'master' }, el('span', { 'aria-hidden': true }, t('player.volume')), this.#volume),
      button('help', '?', on.help, t('player.keys')),
    )
  }

  #player
  #loop
  #t
  #icon
  #play
  #position
  #duration
  #loopButton
  #start
  #end
  #wrong
  #volume
  /** The loop that the fields show. @type {{start: number, end: number} | null} */
  #range = null
  #shown = ''

  /** Show what is played, and how. @param {{isWhole: boolean, isClosest: boolean}} viewport */
  update({ isWhole, isClosest }) {
    const { isPlaying, volume } = this.#player
    this.#icon.setAttribute('d', isPlaying ? ICONS.pause : ICONS.play)
    this.#play.setAttribute('aria-label', this.#t(isPlaying ? 'player.pause' : 'player.play'))
    this.#volume.value = String(volume)
    this.#loopButton.setAttribute('aria-pressed', String(this.#loop.isOn))
    this.#showLoop()
    this.wider.disabled = this.whole.disabled = isWhole
    this.closer.disabled = isClosest
    this.showPosition()
  }

  showPosition() {
    const position = clock(this.#player.position, 1)
    if (position === this.#shown) return
    this.#shown = position
    this.#position.textContent = position
  }

  /** @param {Record<string, () => void>} on */
  #zoomButtons(on) {
    this.wider = button('', '−', on.wider, this.#t('player.zoomOut'))
    this.closer = button('', '+', on.closer, this.#t('player.zoomIn'))
    this.whole = button('', this.#t('player.whole'), on.whole, this.#t('player.zoomWhole'))
    return [this.wider, this.closer, this.whole]
  }

  /** Show the loop, unless it is shown already: what a person writes stays. */
  #showLoop() {
    if (this.#loop.range === this.#range) return
    this.#range = this.#loop.range
    this.#restore(this.#start, 'start')
    this.#restore(this.#end, 'end')
  }

  /** Show the last good value. @param {any} field @param {'start' | 'end'} edge */
  #restore(field, edge) {
    field.value = this.#range ? clock(this.#range[edge], 2) : ''
    this.#mark(field, '')
  }

  /** Say what is wrong with a field, or that nothing is. @param {any} field @param {string} wrong */
  #mark(field, wrong) {
    if (wrong) field.setAttribute('aria-invalid', 'true')
    else field.removeAttribute('aria-invalid')
    const isOther = !wrong && [this.#start, this.#end].some(each => each?.getAttribute('aria-invalid'))
    if (!isOther) this.#wrong.textContent = wrong
  }

  /** @param {string} label @param {'start' | 'end'} edge */
  #field(label, edge) {
    const field = el('input', { type: 'text', class: 'time', size: 8, autocomplete: 'off', placeholder: '0:00.00', 'aria-label': this.#t(label), 'aria-describedby': 'loop-wrong' })
    field.addEventListener('change', () => this.#setEdge(field, edge))
    field.addEventListener('keydown', (/** @type {KeyboardEvent} */ { key }) => { if (key === 'Escape') this.#restore(field, edge) })
    return field
  }

  /** @param {any} field @param {'start' | 'end'} edge */
  #setEdge(field, edge) {
    const { value } = field
    if (!value.trim()) return this.#restore(field, edge)
    const { duration } = this.#player
    const seconds = parseClock(value)
    if (seconds === null || seconds > duration) return this.#mark(field, this.#t('player.timeWrong', { value, duration: clock(duration) }))
    this.#mark(field, '')
    const { start = 0, end = this.#player.duration } = this.#loop.range ?? {}
    const range = { start, end, [edge]: seconds }
    if (range.start < range.end) this.#loop.set(range.start, range.end)
    else if (edge === 'start') this.#loop.set(range.start, this.#player.duration)
    else this.#loop.set(0, range.end)
  }
}

/** @param {string} kind @param {string} text @param {() => void} onClick @param {string} [label] */
function button(kind, text, onClick, label) {
  return el('button', { type: 'button', class: kind || null, 'aria-label': label, title: label, on: { click: onClick } }, text)
}
