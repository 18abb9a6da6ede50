// The songs on their way to the server, each with its progress and its error.

import { clear, el } from '../lib/dom.js'
import { number, percent, size, span, tidy } from '../lib/format.js'
import { t } from '../lib/texts.js'

// The same song would be refused again.
const FINAL = new Set([400, 413, 422])

/** @param {any} context */
export function list({ uploads }) {
  const stop = new AbortController()
  const rows = new Map()
  const body = el('ul', { class: 'rows' })
  const node = el('section', { class: 'panel', 'aria-labelledby': 'queue-title', hidden: true },
    el('h2', { id: 'queue-title' }, t('queue.title')), body)
  const draw = () => {
    node.hidden = uploads.items.length === 0
    const items = new Set(uploads.items)
    for (const [item, row] of rows) if (!items.has(item)) { row.node.remove(); rows.delete(item) }
    for (const item of uploads.items) {
      if (!rows.has(item)) { rows.set(item, new Row(item, uploads)); body.append(rows.get(item).node) }
      rows.get(item).draw()
    }
  }
  let isAsked = false
  // Once a frame: hundreds of songs change often.
  const request = () => {
    if (isAsked) return
    isAsked = true
    requestAnimationFrame(() => { isAsked = false; draw() })
  }
  uploads.addEventListener('change', request, { signal: stop.signal })
  // The seconds until a held song goes on.
  const timer = setInterval(draw, 1000)
  draw()
  return { node, close: () => { stop.abort(); clearInterval(timer) } }
}

class Row {
  constructor(item, uploads) {
    this.item = item
    this.name = tidy(item.name)
    const { name } = this
    this.bar = el('progress', { max: '1', 'aria-label': t('queue.progress', { name }) })
    this.state = el('span', { class: 'state' })
    this.error = el('p', { class: 'error', role: 'alert' })
    this.again = el('button', { type: 'button', hidden: true, on: { click: () => uploads.again(item) } }, t('action.retry'))
    this.cancel = el('button', { type: 'button', class: 'quiet', on: { click: () => uploads.cancel(item) } }, t('action.cancel'))
    this.node = el('li', { class: 'row' },
      el('bdi', { class: 'name', title: name }, name), this.state,
      el('div', { class: 'actions' }, this.again, this.cancel), this.bar, this.error)
  }

  draw() {
    const { state, sent, error } = this.item
    this.#progress(state, sent)
    put(this.state, this.#said())
    put(this.error, error?.detail ?? (state === 'failed' ? t('queue.broken') : ''))
    this.node.classList.toggle('failed', state === 'failed')
    this.again.hidden = state !== 'failed' || FINAL.has(error?.status ?? 0)
    const isOver = state === 'failed'
    put(this.cancel, t(isOver ? 'action.remove' : 'action.cancel'))
    this.cancel.setAttribute('aria-label', t(isOver ? 'queue.removeName' : 'queue.cancelName', { name: this.name }))
  }

  #progress(state, sent) {
    this.bar.hidden = !['sending', 'checking', 'lost'].includes(state)
    if (state === 'sending') this.bar.value = sent
    else this.bar.removeAttribute('value')
  }

  #said() {
    const { state, sent, file, url, heldUntil } = this.item
    if (state === 'sending') return t('queue.sending', { share: percent(sent), size: size(file?.size ?? 0) })
    if (state === 'checking') return t(url ? 'queue.fetching' : 'queue.checking')
    if (state === 'held') return t('queue.held', { time: span(Math.max(1, Math.ceil((heldUntil - Date.now()) / 1000))) })
    return t(`queue.${state}`, { losses: number(this.item.losses) })
  }
}

/** Change a text only if it is another, so that nothing is drawn or said again. */
function put(node, text) {
  if (node.textContent !== text) clear(node).append(text)
}
