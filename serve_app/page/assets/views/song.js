// One song: its progress, then its player and what can be taken away.

import { mountPlayer } from '../player/controls.js'
import { ApiError } from '../lib/api.js'
import { announce, clear, el } from '../lib/dom.js'
import { clock, moment, percent, span, tidy } from '../lib/format.js'
import { isOver } from '../lib/follow.js'
import { has, t } from '../lib/texts.js'
import { confirmed } from './confirm.js'
import { TakeAway } from './take_away.js'

// How often screen readers hear of the progress, in per cent.
const STEP = 25
const EXPIRY_MS = 30_000
// The report that says how many songs wait is cached for a second.
const WAITING_MS = 2000

/** @param {Element} main @param {any} context */
export function show(main, context) {
  const view = new Song(main, context)
  return () => view.close()
}

class Song {
  constructor(main, context) {
    this.context = context
    this.id = context.parameters[0]
    this.stop = new AbortController()
    this.said = ''
    /** @type {string | null} */
    this.position = null
    this.#build(main)
    context.title(t('song.title'))
    this.timers = [
      setInterval(() => this.#expiry(), EXPIRY_MS),
      setInterval(() => this.#waiting(), WAITING_MS),
    ]
    this.#follow()
  }

  close() {
    this.stop.abort()
    this.timers.forEach(clearInterval)
    this.player?.close()
  }

  #build(main) {
    this.title = el('h1', { tabindex: '-1', class: 'song-title' }, t('song.loading'))
    this.facts = el('p', { class: 'muted facts' }, '\u00a0')
    this.bar = el('progress', { max: '100', 'aria-label': t('song.progress') })
    this.state = el('p', { class: 'song-state' }, t('song.loading'))
    this.progress = el('div', { class: 'song-progress' }, this.bar, this.state)
    this.error = el('p', { class: 'error large', role: 'alert' })
    this.stage = el('section', { class: 'stage', 'aria-label': t('song.player'), hidden: true })
    this.below = el('div', {})
    this.kept = el('p', { class: 'muted' })
    main.append(
      el('div', { class: 'song-head' }, el('div', { class: 'song-name' }, this.title, this.facts), this.#actions()),
      this.error, this.progress, this.stage, this.below, this.kept)
  }

  #actions() {
    this.copy = el('button', { type: 'button', on: { click: () => this.#copy() } }, t('song.copy'))
    this.remove = el('button', { type: 'button', class: 'danger', on: { click: () => this.#delete() } }, t('action.cancel'))
    return el('div', { class: 'actions' }, this.copy, this.remove)
  }

  async #follow() {
    const { api } = this.context
    try {
      await api.events(this.id, (job) => this.draw(job), this.stop.signal)
    } catch (error) {
      if (!this.stop.signal.aborted) this.#lost(error)
    }
  }

  #lost(error) {
    const isGone = error instanceof ApiError && error.status === 404
    if (isGone) this.context.history.remove(this.id)
    this.progress.hidden = true
    this.title.textContent = t(isGone ? 'song.gone' : 'song.failed')
    this.#say(error.message)
    this.remove.hidden = this.copy.hidden = true
    clear(this.below).append(this.#back())
    const { keys, router } = this.context
    keys.addEventListener('change', () => router.show(), { signal: this.stop.signal })
  }

  draw(job) {
    this.job = job
    this.context.history.update(job)
    this.#head(job)
    this.#progress(job)
    this.#play(job)
    this.#end(job)
    this.#expiry()
  }

  #head(job) {
    const name = tidy(job.filename)
    this.context.title(name)
    if (this.title.textContent !== name) clear(this.title).append(el('bdi', {}, name))
    const facts = [clock(job.duration), job.model, has(`format.${job.format}`) ? t(`format.${job.format}`) : job.format]
    if (job.cache === 'hit') facts.push(t('song.cached'))
    this.facts.textContent = facts.filter(Boolean).join(' · ')
    this.remove.textContent = t(isOver(job) ? 'action.delete' : 'action.cancel')
  }

  #progress(job) {
    this.progress.hidden = isOver(job)
    if (job.status === 'processing') this.bar.value = job.progress
    else this.bar.removeAttribute('value')
    this.state.textContent = this.#state(job)
    this.#announce(job)
  }

  #state(job) {
    if (job.status === 'pending') {
      const { queue_position: position } = job
      return typeof position === 'number' ? t('song.position', { count: position }) : this.position ?? t('status.pending')
    }
    const stage = has(`stage.${job.stage}`) ? t(`stage.${job.stage}`) : t('status.processing')
    const left = job.eta_seconds === undefined ? '' : t('song.left', { time: span(Math.max(1, job.eta_seconds)) })
    return [stage, percent(job.progress / 100), left].filter(Boolean).join(' · ')
  }

  /** Say the position if the API tells it, else how many songs wait in all. */
  async #waiting() {
    if (this.job?.status !== 'pending' || document.hidden) return
    const health = await this.context.api.json('/health', { signal: this.stop.signal }).catch(() => null)
    const queued = health?.queue?.queued
    if (!queued || this.job.status !== 'pending') return
    this.position = t('song.waiting', { count: queued })
    this.state.textContent = this.#state(this.job)
  }

  /** Say the state to screen readers when it is another, not each per cent. */
  #announce(job) {
    const step = Math.floor(job.progress / STEP) * STEP
    const said = job.status === 'processing' ? `${t('status.processing')} ${percent(step / 100)}` : t(`status.${job.status}`)
    if (said !== this.said && this.said) announce(said)
    this.said = said
  }

  #play(job) {
    if (job.status !== 'processing' && job.status !== 'completed') return
    if (this.player) return this.player.update(job)
    this.stage.hidden = false
    const onVolumes = (gains) => this.takeAway?.hear(gains)
    this.player = mountPlayer(this.stage, { api: this.context.api, job, t, onVolumes })
  }

  #end(job) {
    if (!isOver(job) || this.isEnded) return
    this.isEnded = true
    if (job.status === 'completed') {
      this.takeAway = new TakeAway(this.context, job)
      this.takeAway.hear(this.player.gains())
      clear(this.below).append(this.takeAway.node)
      return
    }
    this.player?.close()
    this.player = null
    this.stage.hidden = true
    this.#say(job.status === 'failed' ? job.error : t('song.cancelled'))
    clear(this.below).append(this.#back())
  }

  #back() {
    const path = '/page'
    return el('p', {}, el('a', { href: this.context.router.href(path), dataset: { view: path } }, t('song.another')))
  }

  #expiry() {
    const expires = this.job?.expires_at
    if (!expires) return
    const seconds = (Date.parse(expires) - Date.now()) / 1000
    this.kept.textContent = seconds > 0
      ? t('song.kept', { time: moment(expires), left: span(seconds) })
      : t('song.expired')
  }

  async #copy() {
    const link = location.origin + location.pathname
    try {
      await navigator.clipboard.writeText(link)
      announce(t('song.copied'))
      this.copy.textContent = t('song.copied')
    } catch {
      // On plain http there is no clipboard: the person copies the text.
      const field = el('input', { class: 'link', readonly: true, 'aria-label': t('song.link') })
      field.value = link
      this.copy.replaceWith(field)
      field.select()
    }
  }

  async #delete() {
    const isRunning = this.job && !isOver(this.job)
    const words = isRunning ? ['song.cancelAsk', 'song.cancelYes'] : ['song.deleteAsk', 'action.delete']
    if (!(await confirmed(t(words[0], { name: tidy(this.job?.filename ?? '') }), t(words[1])))) return
    try {
      await this.context.api.cancel(this.id)
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) return this.#say(error.message)
    }
    this.context.history.remove(this.id)
    this.context.router.go('/page')
    announce(t(isRunning ? 'song.cancelled' : 'song.deleted'))
  }

  #say(text) {
    clear(this.error).append(text)
  }
}
