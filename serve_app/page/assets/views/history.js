// One's own songs: those that this browser sent and, with a key, those of the key's tenant.

import { clear, el } from '../lib/dom.js'
import { clock, moment, percent, tidy } from '../lib/format.js'
import { t } from '../lib/texts.js'
import { ApiError } from '../lib/api.js'

const POLL_MS = 3000
const MOST_POLLED = 10
const RUNNING = ['pending', 'processing']

/** @param {any} context */
export function list(context) {
  const view = new Songs(context)
  return { node: view.node, close: () => view.close() }
}

class Songs {
  constructor(context) {
    this.context = context
    this.stop = new AbortController()
    this.others = []
    this.rows = el('ul', { class: 'rows' })
    this.empty = el('p', { class: 'muted' }, t('history.empty'))
    this.node = el('section', { class: 'panel', 'aria-labelledby': 'history-title' },
      el('h2', { id: 'history-title' }, t('history.title')), this.empty, this.rows)
    const { signal } = this.stop
    context.history.addEventListener('change', () => this.draw(), { signal })
    context.keys.addEventListener('change', () => this.#load(), { signal })
    this.timer = setInterval(() => this.#poll(), POLL_MS)
    this.draw()
    this.#load()
    this.#poll()
  }

  close() {
    this.stop.abort()
    clearInterval(this.timer)
  }

  /** Without a key the server's list is everybody's. */
  async #load() {
    this.others = []
    if (this.context.keys.value) {
      const { signal } = this.stop
      const found = await this.context.api.patiently('/jobs?limit=100', signal).catch(() => ({ jobs: [] }))
      if (signal.aborted) return
      this.others = found.jobs.map((job) => ({ ...job, id: job.job_id }))
    }
    this.draw()
  }

  async #poll() {
    if (document.hidden || this.isPolling) return
    this.isPolling = true
    const running = this.context.history.entries.filter((each) => RUNNING.includes(each.status))
    for (const { id } of running.slice(0, MOST_POLLED)) await this.#refresh(id)
    this.isPolling = false
  }

  async #refresh(id) {
    try {
      const job = await this.context.api.json(`/job/${encodeURIComponent(id)}`, { signal: this.stop.signal, isBackground: true })
      this.context.history.update(job)
    } catch (error) {
      // Others are those of the connection, which the shell shows.
      if (error instanceof ApiError && error.status === 404) this.context.history.remove(id)
    }
  }

  draw() {
    const own = this.context.history.entries
    const known = new Set(own.map((each) => each.id))
    const all = [...own, ...this.others.filter((each) => !known.has(each.id))]
      .sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at))
    this.empty.hidden = all.length > 0
    const text = JSON.stringify(all)
    if (text === this.drawn) return
    this.drawn = text
    const focused = this.rows.contains(document.activeElement) && document.activeElement?.getAttribute('href')
    clear(this.rows).append(...all.map((each) => this.#row(each, known.has(each.id))))
    if (focused) [...this.rows.querySelectorAll('a')].find((link) => link.getAttribute('href') === focused)?.focus()
  }

  #row(entry, isOwn) {
    const { router, history } = this.context
    const path = `/page/songs/${encodeURIComponent(entry.id)}`
    const name = tidy(entry.filename ?? '') || entry.id
    const remove = el('button', {
      type: 'button', class: 'quiet', 'aria-label': t('history.removeName', { name }), title: t('history.removeHelp'),
      on: { click: () => { history.remove(entry.id); this.node.querySelector('a, button')?.focus() } },
    }, t('action.remove'))
    return el('li', { class: 'row' },
      el('a', { class: 'name', href: router.href(path), dataset: { view: path }, title: name }, el('bdi', {}, name)),
      el('span', { class: `state ${entry.status}` }, this.#said(entry)),
      el('div', { class: 'actions' }, isOwn ? remove : null))
  }

  #said({ status, progress, duration, created_at: created, expires_at: expires }) {
    const facts = [t(`status.${status}`)]
    if (status === 'processing' && progress) facts[0] += ` ${percent(progress / 100)}`
    if (duration) facts.push(clock(duration))
    facts.push(expires ? t('history.until', { time: moment(expires) }) : moment(created))
    return facts.join(' · ')
  }
}
