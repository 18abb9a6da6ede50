// What can be taken away of a completed song: stems, a mix, files for DJ programs.

import { clear, el } from '../lib/dom.js'
import { decibels, size, tidy } from '../lib/format.js'
import { has, t } from '../lib/texts.js'

const EXPORTS = ['stem.mp4', 'rekordbox']

export class TakeAway {
  /**
   * @param {any} context
   * @param {any} job completed
   */
  constructor({ api }, job) {
    this.api = api
    this.job = job
    /** @type {Record<string, number>} */
    this.gains = {}
    /** The gains of the mix that is shown, as text. @type {string | null} */
    this.made = null
    /** Whether the last mix had other volumes than those of now. */
    this.isOld = false
    this.isMixing = false
    this.path = `/job/${encodeURIComponent(job.job_id)}`
    this.error = el('p', { class: 'error', role: 'alert' })
    this.node = el('section', { class: 'panel take-away', 'aria-labelledby': 'take-title' },
      el('h2', { id: 'take-title' }, t('take.title')),
      el('div', { class: 'groups' },
        group(t('take.stems'), ...this.#stems(), this.#gain()),
        group(t('take.mix'), this.#mix()),
        group(t('take.programs'), ...this.#programs())),
      this.error)
  }

  /** @param {Record<string, number>} gains the factor of each stem as it is heard now */
  hear(gains) {
    this.gains = gains
    const isSilent = Object.values(gains).every((gain) => gain === 0)
    this.mixButton.disabled = isSilent || this.isMixing
    if (this.isMixing || this.made === JSON.stringify(gains)) return
    this.isOld ||= this.made !== null
    this.made = null
    put(this.mixed, t(isSilent ? 'take.mixSilent' : this.isOld ? 'take.mixOld' : 'take.mixHelp'))
  }

  /** What all stems have in common, if anything would have clipped. */
  #gain() {
    const { gain } = this.job
    return gain < 1 ? el('p', { class: 'muted' }, t('take.gain', { decibels: decibels(gain) })) : null
  }

  #stems() {
    const stems = Object.values(this.job.stems ?? {})
    // Stored, not compressed: a zip has the size of what is in it, and some bytes a file.
    const whole = size(stems.reduce((sum, stem) => sum + stem.size, 0))
    const files = Object.entries(this.job.stems ?? {}).map(([name, stem]) =>
      this.#link(`${this.path}/stems/${encodeURIComponent(name)}`, named(name), size(stem.size), stem.filename))
    return [...files, this.#link(`${this.path}/stems.zip`, t('take.zip'), whole, '')]
  }

  #programs() {
    const file = `${tidy(this.job.filename)}.analysis.json`
    return [
      ...EXPORTS.map((format) => this.#link(`${this.path}/export?format=${format}`, t(`export.${format}`), '', '')),
      this.job.analysis ? this.#link(`${this.path}/analysis`, t('take.analysis'), '', file) : null,
    ]
  }

  #mix() {
    this.mixed = el('p', { class: 'muted', role: 'status' }, t('take.mixHelp'))
    this.mixButton = el('button', { type: 'button', on: { click: () => this.#render() } }, t('take.mixMake'))
    this.mixError = el('p', { class: 'error', role: 'alert' })
    return el('div', {}, this.mixButton, this.mixed, this.mixError)
  }

  #link(path, label, note, file) {
    const link = el('a', { class: 'file', href: this.api.url(path), download: file, on: { click: (event) => this.#open(event, path, file) } },
      el('span', {}, label), note ? el('span', { class: 'muted' }, note) : null)
    return link
  }

  /** Download a file, unless the API refuses it: then its reason is said here. */
  async #open(event, path, file) {
    event.preventDefault()
    const link = event.currentTarget
    if (link.ariaBusy === 'true') return
    link.ariaBusy = 'true'
    await this.#try(async () => {
      await this.api.check(path)
      download(await this.api.link(path), file)
    })
    link.ariaBusy = null
  }

  async #render() {
    const { gains } = this
    this.isMixing = true
    this.mixButton.disabled = true
    put(this.mixed, t('take.mixing'))
    await this.#try(async () => {
      const made = await this.api.post(`${this.path}/mix`, { gains, format: this.job.format })
      this.#offer(made)
      this.made = JSON.stringify(gains)
      download(made.download_url, made.filename)
    }, this.mixError)
    this.isMixing = false
    this.hear(this.gains)
  }

  #offer(made) {
    const facts = [size(made.size_bytes)]
    if (made.gain < 1) facts.push(t('take.mixGain', { decibels: decibels(made.gain) }))
    clear(this.mixed).append(
      el('a', { href: made.download_url, download: made.filename }, el('bdi', {}, tidy(made.filename))), ` ${facts.join(' · ')}`)
  }

  /** Do something, or say at `place` why it failed. @param {() => Promise<void>} work */
  async #try(work, place = this.error) {
    clear(place)
    try {
      await work()
    } catch (error) {
      const isFull = place === this.mixError && error.status === 429
      place.textContent = isFull ? t('take.mixFull') : error.message
    }
  }
}

function group(title, ...children) {
  return el('div', { class: 'group' }, el('h3', {}, title), ...children)
}

function named(name) {
  return has(`stem.${name}`) ? t(`stem.${name}`) : name
}

/** Save a file under its name, which the server's own goes before. */
function download(url, file) {
  el('a', { href: url, download: file }).click()
}

/** Change a text only if it is another, so that nothing is said again. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text
}
