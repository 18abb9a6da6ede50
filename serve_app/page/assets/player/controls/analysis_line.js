// @ts-check
// Tempo, key and metre of the song in one line.

import { el } from '../../lib/dom.js'
import { TEMPO_FACTORS } from '../beats.js'

/** The song's analysis; a tap on the tempo shows half and double of it. */
export class AnalysisLine {
  factor = 1

  /** @param {(name: string, values?: object) => string} t @param {(factor: number) => void} onFactor */
  constructor(t, onFactor) {
    this.#t = t
    this.#onFactor = onFactor
    this.#bpm = el('button', { type: 'button', class: 'bpm', on: { click: () => this.#next() } })
    this.#key = el('span', { class: 'key' })
    this.#meter = el('span', { class: 'metre' })
    this.node = el('div', { class: 'analysis' }, this.#bpm, this.#key, this.#meter)
  }

  #t
  #onFactor
  #bpm
  #key
  #meter
  /** @type {any} */
  #analysis = null

  /** @param {any} analysis */
  update(analysis) {
    this.#analysis = analysis
    this.node.hidden = !analysis
    if (!analysis) return
    const hasTempo = !analysis.bpm_reason
    this.#bpm.disabled = !hasTempo
    const bpm = hasTempo ? (analysis.bpm * this.factor).toFixed(1) : '–'
    const factor = { 1: '', 0.5: ' ×½', 2: ' ×2' }[this.factor]
    this.#bpm.textContent = `${bpm} BPM${factor}`
    const label = hasTempo ? this.#t('player.tempoTap') : this.#t('player.noTempo')
    this.#bpm.setAttribute('title', label)
    this.#bpm.setAttribute('aria-label', `${this.#bpm.textContent}. ${label}`)
    const named = [analysis.camelot, analysis.key].filter(Boolean).join(' · ')
    this.#key.textContent = analysis.key_reason || !named ? this.#t('player.noKey') : named
    this.#meter.textContent = hasTempo && analysis.meter ? this.#t('player.metre', { beats: analysis.meter }) : ''
  }

  #next() {
    const next = (TEMPO_FACTORS.indexOf(this.factor) + 1) % TEMPO_FACTORS.length
    this.factor = TEMPO_FACTORS[next]
    this.update(this.#analysis)
    this.#onFactor(this.factor)
  }
}
