// What runs: the queue, the replicas, the speed and recent failures, every five seconds.

import { clear, el } from '../lib/dom.js'
import { moment, number, percent, size, span } from '../lib/format.js'
import { t } from '../lib/texts.js'
import { sparkline } from './sparkline.js'

const REFRESH_MS = 5000
const MOST_SAMPLES = 120

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
    const { signal } = this.stop
    try {
      const report = await this.context.api.json('/operations', { signal, cache: 'no-store' })
      clear(this.error)
      this.#draw(report)
    } catch (error) {
      // A lost connection is shown by the shell; the figures say of when they are.
      if (!signal.aborted && 'status' in error) this.error.textContent = error.message
    }
    this.isAsking = false
  }

  #draw(report) {
    this.at.textContent = t('operations.at', { time: moment(new Date()), seconds: REFRESH_MS / 1000 })
    this.#sample(report)
    clear(this.health).append(...this.#states(report))
    clear(this.figures).append(...this.#numbers())
    redraw(this.tables, ...tables(report))
    redraw(this.failures, el('h2', { id: 'failures-title' }, t('operations.failures')), failures(listed(report.failures)))
  }

  /** Keep the figures of the last ten minutes, also while another view is shown. */
  #sample(report) {
    const queues = listed(report.queue, 'kind')
    const pools = listed(report.replicas, 'pool')
    this.#keep('queued', total(queues, 'depth'))
    this.#keep('audio', total(queues, 'audio_seconds'))
    this.#keep('running', total(pools, 'running'))
    this.#keep('speed', report.speed_times_real_time)
    this.#keep('fill', report.batch_fill_ratio)
  }

  #keep(name, value) {
    const { samples } = this.context
    const kept = samples.get(name) ?? []
    samples.set(name, [...kept, typeof value === 'number' ? value : null].slice(-MOST_SAMPLES))
  }

  #states(report) {
    return [
      state(t('operations.database'), report.database?.up),
      state(t('operations.storage'), report.storage?.up),
      ...listed(report.disks, 'place').map(disk),
    ]
  }

  #numbers() {
    const figure = (name, form) => {
      const kept = this.context.samples.get(name) ?? []
      const last = kept.at(-1)
      return el('div', { class: 'figure' },
        el('span', { class: 'label' }, t(`operations.${name}`)),
        el('span', { class: 'value' }, typeof last === 'number' ? form(last) : t('operations.unknown')),
        sparkline(kept, t('operations.trend', { name: t(`operations.${name}`) })))
    }
    return [
      figure('queued', (value) => number(value)),
      figure('audio', (value) => span(value)),
      figure('running', (value) => number(value)),
      figure('speed', (value) => t('operations.times', { times: number(value) })),
      figure('fill', percent),
    ]
  }
}

/** A mapping by name, or a list, as a list; empty if it is neither. */
function listed(value, name = 'name') {
  if (Array.isArray(value)) return value
  return Object.entries(value ?? {}).map(([key, each]) => ({ [name]: key, ...each }))
}

function total(rows, name) {
  const known = rows.map((row) => row[name]).filter((value) => typeof value === 'number')
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null
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
  const seconds = (value) => span(value)
  return [
    table(t('operations.queue'), listed(report.queue, 'kind'), [
      ['kind', String], ['depth', number], ['running', number], ['oldest_seconds', seconds], ['audio_seconds', seconds]]),
    table(t('operations.replicas'), listed(report.replicas, 'pool'), [
      ['pool', String], ['running', number], ['starting', number], ['wanted', number]]),
    table(t('operations.outbox'), listed(report.outbox, 'channel'), [
      ['channel', String], ['waiting', number], ['dead', number], ['oldest_seconds', seconds]]),
  ].filter(Boolean)
}

/** A table of those columns that any row has. */
function table(title, rows, columns) {
  if (!rows.length) return null
  const shown = columns.filter(([name]) => rows.some((row) => row[name] !== undefined && row[name] !== null))
  return el('section', { class: 'panel scroll', tabindex: '0', 'aria-label': title },
    el('h2', {}, title),
    el('table', {},
      el('thead', {}, el('tr', {}, ...shown.map(([name]) => el('th', { scope: 'col' }, t(`column.${name}`))))),
      el('tbody', {}, ...rows.map((row) => el('tr', {}, ...shown.map(([name, form]) => cell(row[name], form)))))))
}

function cell(value, form) {
  const isKnown = value !== undefined && value !== null
  return el('td', { class: typeof value === 'number' ? 'number' : null }, isKnown ? form(value) : t('operations.unknown'))
}

function failures(rows) {
  if (!rows.length) return el('p', { class: 'muted' }, t('operations.noFailures'))
  return el('ul', { class: 'rows' }, ...rows.map((each) => el('li', { class: 'failure' },
    el('span', { class: 'muted' }, each.time ? moment(each.time) : ''),
    el('span', {}, each.kind ?? '', ' ', el('code', {}, each.reason ?? t('operations.unknown'))),
    each.detail ? el('p', { lang: 'en' }, each.detail) : null)))
}

/** Replace the children, unless they would be the same: people may be reading or selecting. */
function redraw(node, ...children) {
  const next = el('div', {}, ...children)
  if (node.textContent !== next.textContent) clear(node).append(...next.childNodes)
}
