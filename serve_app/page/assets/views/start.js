// The start: songs are dropped, chosen or named by a URL; below are one's own songs.

import { announce, clear, el } from '../lib/dom.js'
import { dropped } from '../lib/dropped.js'
import { number, size } from '../lib/format.js'
import { t } from '../lib/texts.js'
import * as history from './history.js'
import { Options } from './options.js'
import * as queue from './queue.js'

/** @param {Element} main @param {any} context */
export function show(main, context) {
  const view = new Start(main, context)
  return () => view.close()
}

class Start {
  constructor(main, context) {
    this.context = context
    this.stop = new AbortController()
    this.config = null
    context.title('')
    this.options = new Options(context)
    this.queue = queue.list(context)
    this.history = history.list(context)
    main.append(
      el('h1', { tabindex: '-1' }, t('start.title')),
      el('p', { class: 'lead' }, t('start.lead')),
      this.#zone(), this.#address(), this.options.node, this.queue.node, this.history.node)
    this.#listen()
    this.#load()
  }

  close() {
    this.stop.abort()
    this.queue.close()
    this.history.close()
  }

  async #load() {
    const { signal } = this.stop
    try {
      const [config, models] = await Promise.all(
        ['/config', '/models'].map((path) => this.context.api.patiently(path, signal)))
      this.config = config
      this.limits.textContent = t('start.limits', { size: size(config.max_upload_bytes) })
      this.options.fill(config, models.models)
    } catch (error) {
      if (!signal.aborted) this.#say(error.message)
    }
  }

  #zone() {
    this.files = picker({ multiple: true }, (files) => this.#take(files))
    this.folder = picker({ webkitdirectory: true }, (files) => this.#takeFolder(files))
    this.message = el('p', { class: 'error', role: 'alert' })
    this.limits = el('p', { class: 'muted limits' }, '\u00a0')
    this.zone = el('section', { class: 'zone', 'aria-label': t('start.zone') },
      el('p', { class: 'zone-title' }, t('start.drop')),
      el('div', { class: 'actions' },
        el('button', { type: 'button', class: 'primary', on: { click: () => this.files.click() } }, t('start.choose')),
        el('button', { type: 'button', on: { click: () => this.folder.click() } }, t('start.folder'))),
      this.limits, this.files, this.folder, this.message)
    return this.zone
  }

  #address() {
    this.url = el('input', {
      id: 'url', type: 'url', name: 'url', placeholder: 'https://', autocomplete: 'off', spellcheck: 'false',
      'aria-describedby': 'url-error',
    })
    this.urlError = el('p', { id: 'url-error', class: 'error', role: 'alert' })
    return el('form', { class: 'address', novalidate: true, on: { submit: (event) => this.#submit(event) } },
      el('label', { for: 'url' }, t('start.url')),
      el('div', { class: 'joined' }, this.url, el('button', {}, t('start.fetch'))),
      this.urlError)
  }

  #listen() {
    const { signal } = this.stop
    const on = (name, listener) => document.addEventListener(name, listener, { signal })
    on('dragover', (event) => this.#hover(event))
    on('dragleave', (event) => { if (!event.relatedTarget) this.zone.classList.remove('over') })
    on('drop', (event) => this.#drop(event))
    on('paste', (event) => this.#paste(event))
    this.context.uploads.addEventListener('sent', (event) => this.#sent(event.detail), { signal })
  }

  #hover(event) {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    event.dataTransfer.dropEffect = 'copy'
    this.zone.classList.add('over')
  }

  async #drop(event) {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    this.zone.classList.remove('over')
    const { files, skipped } = await dropped(event.dataTransfer, (name) => this.#isSong(name))
    this.#take(files, skipped)
  }

  #paste(event) {
    if (event.target instanceof HTMLInputElement) return
    const files = [...event.clipboardData.files]
    if (files.length) return this.#take(files)
    const text = event.clipboardData.getData('text/plain').trim()
    if (/^https?:\/\/\S+$/.test(text)) { this.url.value = text; this.url.focus() }
  }

  #submit(event) {
    event.preventDefault()
    const url = this.url.value.trim()
    const isUrl = URL.canParse(url) && /^(https?|s3):$/.test(new URL(url).protocol)
    this.urlError.textContent = isUrl ? '' : t('start.urlWrong')
    this.url.setAttribute('aria-invalid', String(!isUrl))
    if (!isUrl) return this.url.focus()
    this.url.value = ''
    this.#add([{ name: url, url }])
  }

  #isSong(name) {
    const suffix = name.slice(name.lastIndexOf('.') + 1).toLowerCase()
    return !this.config || this.config.supported_formats.includes(suffix)
  }

  #takeFolder(files) {
    const songs = files.filter((file) => this.#isSong(file.name))
    this.#take(songs, files.length - songs.length)
  }

  /** Queue files; say which the server would refuse before they are sent. */
  #take(files, skipped = 0) {
    const most = this.config?.max_upload_bytes ?? Infinity
    const large = files.filter((file) => file.size > most)
    const empty = files.filter((file) => file.size === 0)
    this.#say(
      ...large.map((file) => t('start.tooLarge', { name: file.name, size: size(file.size), most: size(most) })),
      ...empty.map((file) => t('start.empty', { name: file.name })),
      skipped > 0 && t('start.skipped', { count: skipped }),
      files.length === 0 && skipped === 0 && t('start.nothing'))
    this.#add(files.filter((file) => file.size > 0 && file.size <= most).map((file) => ({ name: file.name, file })))
  }

  #add(songs) {
    if (!songs.length || !this.options.check()) return
    // One song leads to its own view as soon as it is there.
    this.only = songs.length === 1 && !this.context.uploads.items.length
    this.context.uploads.add(songs, this.options.fields)
    announce(t('queue.added', { count: songs.length }))
  }

  #sent({ job }) {
    if (this.only) this.context.router.go(`/page/songs/${job.job_id}`)
    else announce(t('queue.accepted', { name: job.filename, left: number(this.context.uploads.items.length) }))
  }

  #say(...lines) {
    const shown = lines.filter(Boolean)
    clear(this.message).append(...shown.map((line) => el('span', { class: 'line' }, line)))
  }
}

function picker(props, onFiles) {
  return el('input', {
    type: 'file', hidden: true, tabindex: '-1', 'aria-hidden': true, ...props,
    on: {
      change: ({ target }) => {
        const files = [...target.files]
        // Emptied, so that the same file can be chosen again.
        target.value = ''
        onFiles(files)
      },
    },
  })
}
