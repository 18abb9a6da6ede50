// The options of a separation: model, stems and format, with what the API says of them.

import { clear, el } from '../lib/dom.js'
import { list, number, span } from '../lib/format.js'
import { has, t, translated } from '../lib/texts.js'

const NAME = 'options'
// For which the expected time is said.
const SONG_SECONDS = 240
const ALL = 'all'
const KARAOKE = 'karaoke'
const SOME = 'some'

export class Options {
  /** @param {any} context */
  constructor(context) {
    this.context = context
    this.models = []
    this.kept = context.store.get(NAME, {})
    this.model = select('model', () => this.#changed())
    this.stems = select('stems', () => this.#changed())
    this.format = select('format', () => this.#changed())
    this.boxes = el('div', { class: 'boxes', role: 'group', 'aria-label': t('options.which'), hidden: true })
    this.error = el('p', { class: 'error', role: 'alert' })
    this.about = el('dl', { class: 'about' })
    this.node = el('section', { class: 'panel options', 'aria-label': t('options.title') },
      el('div', { class: 'fields' },
        field('model', t('options.model'), this.model),
        field('stems', t('options.stems'), this.stems),
        field('format', t('options.format'), this.format)),
      this.boxes, this.error, this.about)
  }

  /** The fields of the form, without those that are the server's defaults. */
  get fields() {
    const stems = this.#stems()
    return {
      ...(this.model.value && { model: this.model.value }),
      ...(stems.length && { stems: stems.join(',') }),
      ...(this.format.value && { format: this.format.value }),
    }
  }

  /** Whether the options can be sent; say what is wrong if not. */
  check() {
    const isEmpty = this.stems.value === SOME && this.#stems().length === 0
    this.error.textContent = isEmpty ? t('options.noStems') : ''
    if (isEmpty) this.boxes.querySelector('input')?.focus()
    return !isEmpty
  }

  /** @param {any} config as of `/config` @param {any[]} models as of `/models` */
  fill(config, models) {
    this.models = models
    const wanted = models.find((each) => each.name === this.kept.model) ?? models.find((each) => each.default) ?? models[0]
    put(this.model, models.map((each) => [each.name, each.name]), wanted?.name)
    put(this.format, config.formats.map((each) => [each, textOf('format', each)]), this.kept.format)
    this.#fillStems(this.kept.stems)
    this.#show()
  }

  #current() {
    return this.models.find((each) => each.name === this.model.value)
  }

  #fillStems(wanted) {
    const sources = this.#current()?.sources ?? []
    const choices = [[ALL, t('options.all', { count: sources.length })]]
    if (sources.includes('vocals')) choices.push([KARAOKE, t('options.karaoke')])
    choices.push([SOME, t('options.some')])
    put(this.stems, choices, wanted)
    const kept = this.kept.some ?? sources
    clear(this.boxes).append(...sources.map((name) => el('label', { class: 'check' },
      el('input', { type: 'checkbox', name: 'stem', value: name, checked: kept.includes(name), on: { change: () => this.#changed() } }),
      textOf('stem', name))))
  }

  #stems() {
    if (this.stems.value === KARAOKE) return ['vocals', 'accompaniment']
    return this.stems.value === SOME ? this.#some() : []
  }

  #some() {
    return [...this.boxes.querySelectorAll('input:checked')].map((each) => each.value)
  }

  #changed() {
    if (this.model.value !== this.shown) this.#fillStems(this.stems.value)
    const [model, stems, format] = [this.model, this.stems, this.format].map((each) => each.value)
    this.kept = { model, stems, format, some: this.#some() }
    this.context.store.set(NAME, this.kept)
    if (this.error.textContent) this.check()
    this.#show()
  }

  #show() {
    this.shown = this.model.value
    this.boxes.hidden = this.stems.value !== SOME
    const model = this.#current()
    clear(this.about).append(...(model ? this.#said(model) : []))
  }

  #said(model) {
    const pace = this.context.history.pace(model.name)
    return [
      ...pair(t('options.quality'), said(model.description)),
      ...pair(t('options.trained'), said(model.trained_on)),
      ...pair(t('options.licence'), licence(model)),
      ...pair(t('options.time'), pace === null ? t('options.timeUnknown') : t('options.timeKnown', { time: span(pace * SONG_SECONDS), minutes: number(SONG_SECONDS / 60) })),
    ]
  }
}

function select(name, onChange) {
  return el('select', { id: name, name, on: { change: onChange } })
}

function field(name, label, control) {
  return el('div', { class: 'field' }, el('label', { for: name }, label), control)
}

function put(node, choices, wanted) {
  clear(node).append(...choices.map(([value, text]) => el('option', { value, selected: value === wanted }, text)))
}

function textOf(kind, name) {
  return has(`${kind}.${name}`) ? t(`${kind}.${name}`) : name
}

function pair(term, ...said) {
  return [el('dt', {}, term), el('dd', {}, ...said)]
}

/** What the API says of a model, in the page's language if that knows the sentence. */
function said(text) {
  return translated(text) ?? el('span', { lang: 'en' }, text)
}

function licence(model) {
  if (!model.licences) return said(model.licence)
  const { code, weights, training_data: data } = model.licences
  const kinds = [[t('licence.weights'), weights], [t('licence.code'), code], [t('licence.data'), data]]
  return el('details', {},
    el('summary', {}, t('licence.short', { weights: named(weights.name), code: named(code.name) })),
    ...kinds.map(([kind, each]) => el('p', {}, `${kind}: `, named(each.name), '. ', said(each.summary), ' ', source(each.url))))
}

function named(name) {
  const names = name.split(' AND ').map((each) => (has(`licence.${each}`) ? t(`licence.${each}`) : each.replace('LicenseRef-', '')))
  return list(names)
}

function source(url) {
  if (!/^https?:/.test(url)) return null
  return el('a', { href: url, rel: 'noreferrer', target: '_blank' }, t('licence.source'))
}
