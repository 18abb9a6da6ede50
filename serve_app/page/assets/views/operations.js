// What runs: the queue, the replicas, the speed and recent failures, every five seconds.

import { clear, el } from '../lib/dom.js'
import { moment, number, percent, size, span } from '../lib/format.js'
import { t } from '../lib/texts.js'
import { sparkline } from './sparkline.js'

const REFRESH_MS = 5000
// The server answers within 3 s what it can. A connection that is silent for longer is lost.
const LATE_MS = 6000
const MOST_SAMPLES = 120

/** The figures with a course, and how each is written. */
const FIGURES = {
  queued: (value) => number(value),
  audio: span,
  running: (value) => number(value),
  speed: (value) => t('operations.times', { times: number(value) }),
  fill: percent,
}

const text = (value) => String(value)
const count = (value) => number(value)
const COLUMNS = {
  queues: { system: text, kind: text, queued: count, running: count, oldest_seconds: span, audio_seconds: span },
  pools: { name: text, running: count, starting: count, target: count },
  outbox: { channel: text, waiting: count, dead: count, oldest_seconds: span },
}

/** @param {Element} main @param {any} context */
export function show(main, context) {
  const view = new Operations(main, context)
  return () => view.close()
}

class Operations {
  constructor(main, context) {
    this.context = context
    this.stop = new AbortController()
    context.title(t('operations.title'))
    this.error = el('p', { class: 'error large', role: 'alert' })
    this.at = el('p', { class: 'lead' }, t('operations.loading'))
    this.health = el('section', { class: 'figures', 'aria-label': t('operations.health') })
    this.figures = el('section', { class: 'figures', 'aria-label': t('operations.figures') })
    this.tables = el('div', { class: 'tables' })
    this.failures = el('section', { class: 'panel', 'aria-labelledby': 'failures-title' })
    main.append(
      el('h1', { tabindex: '-1' }, t('operations.title')), this.at, this.error,
      this.health, this.figures, this.tables, this.failures)
    document.addEventListener('visibilitychange', () => this.#refresh(), { signal: this.stop.signal })
    this.timer = setInterval(() => this.#refresh(), REFRESH_MS)
    this.#refresh()
  }

  close() {
    this.stop.abort()
    clearInterval(this.timer)
  }

  async #refresh() {
    if (document.hidden || this.isAsking) return
    this.isAsking = true
    const { api, keys } = this.context
    const { signal } = this.stop
    const late = new AbortController()
    const timer = setTimeout(() => { if (!keys.waiting) { late.abort(); api.back() } }, LATE_MS)
    try {
      const isBackground = this.isAsked
      this.isAsked = true
      const report = await api.json('/operations', { signal: AbortSignal.any([signal, late.signal]), cache: 'no-store', isBackground })
      clear(this.error)
      this.#draw(report)
    } catch (error) {
      // A lost connection is shown by the shell; the figures say of when they are.
      if (!signal.aborted && 'status' in error) this.error.textContent = error.message
    }
    clearTimeout(timer)
    this.isAsking = false
  }

  #draw(report) {
    this.at.textContent = t('operations.at', { time: moment(new Date()), seconds: REFRESH_MS / 1000 })
    this.#sample(report)
    clear(this.health).append(...this.#states(report))
    clear(this.figures).append(...this.#numbers())
    redraw(this.tables, ...tables(report))
    redraw(this.failures, el('h2', { id: 'failures-title' }, t('operations.failures')), failures(report.failures))
  }

  /** Keep the figures of the last ten minutes, also while another view is shown. */
  #sample({ queues, pools, speed, batch_fill_ratio: fill }) {
    this.#keep('queued', total(queues, 'queued'))
    this.#keep('audio', total(queues, 'audio_seconds'))
    this.#keep('running', total(pools, 'running'))
    this.#keep('speed', total(speed?.filter(({ kind }) => kind === 'separation'), 'times_real_time'))
    this.#keep('fill', fill ?? null)
  }

  #keep(name, value) {
    const { samples } = this.context
    const kept = samples.get(name) ?? []
    samples.set(name, [...kept, value].slice(-MOST_SAMPLES))
  }

  #states(report) {
    return [
      state(t('operations.database'), report.database_up),
      state(t('operations.storage'), report.storage_up),
      ...(report.disks ?? []).map(disk),
    ]
  }

  #numbers() {
    return Object.entries(FIGURES).map(([name, form]) => this.#figure(name, form)).filter(Boolean)
  }

  #figure(name, form) {
    const kept = this.context.samples.get(name) ?? []
    // Not every server tells how full its batches are.
    if (name === 'fill' && kept.every((value) => value === null)) return null
    const last = kept.at(-1) ?? null
    const label = t(`operations.${name}`)
    return el('div', { class: 'figure' },
      el('span', { class: 'label' }, label),
      el('span', { class: 'value' }, last === null ? t('operations.unknown') : form(last)),
      sparkline(kept, t('operations.trend', { name: label })))
  }
}

/** The sum of a figure; null if the server could not read it. */
function total(rows, name) {
  return Array.isArray(rows) ? rows.reduce((sum, row) => sum + (row[name] ?? 0), 0) : null
}

function state(label, isUp) {
  const word = isUp === undefined || isUp === null ? 'unknown' : isUp ? 'up' : 'down'
  return el('div', { class: 'figure' },
    el('span', { class: 'label' }, label),
    el('span', { class: `value status ${word}` }, t(`operations.${word}`)))
}

function disk({ place, free_bytes: free, size_bytes: whole }) {
  if (typeof free !== 'number') return state(t('operations.disk', { place }), null)
  const share = whole ? 1 - free / whole : null
  return el('div', { class: 'figure' },
    el('span', { class: 'label' }, t('operations.disk', { place })),
    el('span', { class: 'value' }, t('operations.free', { size: size(free) })),
    share === null ? null : el('meter', { min: '0', max: '1', high: '0.9', value: String(share), 'aria-label': t('operations.used', { place, share: percent(share) }) }))
}

function tables(report) {
  return Object.entries(COLUMNS).map(([name, columns]) => table(t(`operations.${name}`), report[name], columns))
}

function table(title, rows, columns) {
  const names = Object.keys(columns)
  if (!rows?.length) return el('section', { class: 'panel', 'aria-label': title }, el('h2', {}, title), nothing(rows))
  // It takes the focus, so that the arrow keys scroll what is too wide.
  return el('section', { class: 'panel', 'aria-label': title },
    el('h2', {}, title),
    el('div', { class: 'scroll', role: 'group', tabindex: '0', 'aria-label': title },
      el('table', {},
        el('thead', {}, el('tr', {}, ...names.map((name) => el('th', { scope: 'col' }, t(`column.${name}`))))),
        el('tbody', {}, ...rows.map((row) => el('tr', {}, ...names.map((name) => cell(row[name], columns[name]))))))))
}

/** What is said of a list that is empty, or that the server could not read. */
function nothing(rows) {
  return el('p', { class: 'muted' }, t(rows ? 'operations.none' : 'operations.unreadable'))
}

function cell(value, form) {
  return el('td', {}, value === undefined || value === null ? t('operations.unknown') : form(value))
}

function failures(rows) {
  if (!rows?.length) return nothing(rows)
  return el('ul', { class: 'rows' }, ...rows.map((each) => el('li', { class: 'failure' },
    el('span', { class: 'muted' }, each.at ? moment(each.at) : ''),
    el('span', {}, each.kind ?? '', ' ', el('code', {}, each.reason ?? t('operations.unknown'))),
    each.detail ? el('p', { lang: 'en' }, each.detail) : null)))
}

/** Replace the children, unless they would be the same: people may be reading or selecting. */
function redraw(node, ...children) {
  const next = el('div', {}, ...children)
  if (node.textContent !== next.textContent) clear(node).append(...next.childNodes)
}
