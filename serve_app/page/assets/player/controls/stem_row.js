// @ts-check
// The row of one stem: its name, volume, mute, solo and download, and its waveform.

import { el } from '../../lib/dom.js'

const FULL_METER_DECIBELS = 48

/** One stem's controls and lane. */
export class StemRow {
  /**
   * @param {object} options
   * @param {string} options.name
   * @param {number} options.number from 1, for the keys
   * @param {HTMLElement} options.lane
   * @param {import('../player.js').Player} options.player
   * @param {(name: string, values?: object) => string} options.t
   * @param {(name: string) => void} options.onDownload
   */
  constructor({ name, number, lane, player, t, onDownload }) {
    this.name = name
    this.#player = player
    const title = stemTitle(name, t)
    this.#volume = volumeSlider(t('player.stemVolume', { stem: title }), value => player.set(name, { volume: value }))
    this.#mute = toggle(t('player.mute'), t('player.muteStem', { stem: title }), 'mute', () => this.toggle('muted'))
    this.#solo = toggle(t('player.solo'), t('player.soloStem', { stem: title }), 'solo', () => this.toggle('soloed'))
    this.#meter = el('div', { class: 'meter-level' })
    this.#download = downloadLink(t('player.downloadStem', { stem: title }), () => onDownload(name))
    const head = el(
      'div',
      { class: 'stem-head' },
      el('div', { class: 'stem-title' }, el('kbd', { 'aria-hidden': true }, number), el('bdi', {}, title), this.#download),
      el('div', { class: 'stem-buttons' }, this.#mute, this.#solo, this.#volume),
      el('div', { class: 'meter', 'aria-hidden': true }, this.#meter),
    )
    this.node = el('div', { class: 'stem', role: 'group', 'aria-label': title, dataset: { stem: name } }, head, lane)
  }

  #player
  #volume
  #mute
  #solo
  #meter
  #download
  #shown = -1

  /** @param {'muted' | 'soloed'} what */
  toggle(what) {
    const state = this.#player.stems.get(this.name)
    this.#player.set(this.name, { [what]: !state?.[what] })
  }

  /** Show the stem's state, and its download once there is one. @param {any} job */
  update(job) {
    const { volume, muted, soloed } = /** @type {any} */ (this.#player.stems.get(this.name))
    this.#volume.value = String(volume)
    this.#mute.setAttribute('aria-pressed', String(muted))
    this.#solo.setAttribute('aria-pressed', String(soloed))
    this.node.classList.toggle('is-silent', this.#player.heard(this.name) === 0)
    const stem = job.stems?.[this.name]
    this.#download.hidden = !stem
    if (stem) this.#download.setAttribute('href', stem.download_url)
  }

  /** @param {number} peak */
  showLevel(peak) {
    const decibels = 20 * Math.log10(Math.max(peak, 1e-6))
    const level = Math.round(100 * Math.min(Math.max(1 + decibels / FULL_METER_DECIBELS, 0), 1)) / 100
    if (level === this.#shown) return
    this.#shown = level
    this.#meter.style.transform = `scaleX(${level})`
  }
}

/** A stem's name in the page's language, or as the model calls it. @param {string} name @param {(name: string) => string} t */
export function stemTitle(name, t) {
  const key = `player.stem.${name}`
  const title = t(key)
  return title === key ? name : title
}

/** A volume from 0 to 1. @param {string} label @param {(value: number) => void} onInput */
export function volumeSlider(label, onInput) {
  const input = el('input', { type: 'range', min: 0, max: 1, step: 0.01, value: 1, 'aria-label': label, class: 'volume' })
  input.addEventListener('input', () => onInput(Number(input.value)))
  return input
}

/** @param {string} text @param {string} label @param {string} kind @param {() => void} onClick */
function toggle(text, label, kind, onClick) {
  return el('button', { type: 'button', class: `toggle ${kind}`, 'aria-label': label, 'aria-pressed': false, on: { click: onClick } }, text)
}

/** @param {string} label @param {() => void} onClick */
function downloadLink(label, onClick) {
  const click = (/** @type {Event} */ event) => {
    event.preventDefault()
    onClick()
  }
  return el('a', { class: 'download', href: '#', hidden: true, 'aria-label': label, title: label, on: { click } }, '↓')
}
