// What is around the views: the header, the live region, the state of the connection.

import { announce, clear, el } from './lib/dom.js'
import { tidy } from './lib/format.js'
import { LANGUAGES, language, setLanguage, t } from './lib/texts.js'
import { KeyDialog } from './key_dialog.js'

const THEMES = ['auto', 'light', 'dark']
// A short interruption, as of a reload, is not worth a word.
const QUIET_MS = 400

export class Shell {
  /** @param {any} context */
  constructor(context) {
    this.context = context
    this.close = () => {}
    this.dialog = new KeyDialog(context)
    context.title = (text) => { document.title = text ? `${tidy(text)} · stemserve` : 'stemserve' }
    context.api.addEventListener('down', () => this.#down())
    context.api.addEventListener('up', () => this.#up())
    context.keys.addEventListener('change', () => this.#keyChanged())
    this.#theme(context.store.get('theme', 'auto'))
  }

  /** Build everything around the view, in the page's language. */
  show() {
    document.documentElement.lang = language()
    this.main = el('main', { id: 'main', tabindex: '-1' })
    this.notice = el('p', { class: 'notice', role: 'status', hidden: true }, t('connection.lost'))
    document.querySelectorAll('body > :not(noscript)').forEach((node) => node.remove())
    document.body.append(
      el('a', { class: 'skip', href: '#main', on: { click: (event) => this.#skip(event) } }, t('shell.skip')),
      this.#header(), this.main, this.notice,
      el('div', { id: 'announcer', class: 'unseen', 'aria-live': 'polite' }),
      this.dialog.build(),
    )
  }

  /**
   * Close the view that is shown, and show another.
   * @param {() => Promise<any>} load @param {string[]} parameters @param {{takesFocus: boolean}} options
   */
  async showView(load, parameters, { takesFocus }) {
    const shown = this.shown = { load, parameters }
    this.context.keys.reconsider()
    this.close()
    this.close = () => {}
    this.#markCurrent()
    const view = await load().catch(() => updated)
    // Another may have been asked for meanwhile.
    if (this.shown !== shown) return
    this.close = view.show(clear(this.main), { ...this.context, parameters })
    if (takesFocus) this.main.querySelector('h1')?.focus({ preventScroll: true })
  }

  #header() {
    const { router } = this.context
    const place = (path, ...children) => el('a', { href: router.href(path), dataset: { view: path } }, ...children)
    this.languages = choice(t('shell.language'), Object.entries(LANGUAGES), language(), (code) => this.#speak(code))
    this.links = [place('/page', t('nav.songs')), place('/page/operations', t('nav.operations'))]
    return el('header', { class: 'top' },
      el('a', { class: 'brand', href: router.href('/page'), dataset: { view: '/page' } }, mark(), 'stemserve'),
      el('nav', { 'aria-label': t('nav.label') }, ...this.links),
      el('div', { class: 'settings' },
        this.languages,
        choice(t('shell.theme'), THEMES.map((name) => [name, t(`theme.${name}`)]), this.theme, (name) => this.#theme(name)),
        this.#keyButton()),
    )
  }

  #keyButton() {
    const { keys } = this.context
    this.keyLabel = el('span', {}, this.#keyText())
    return el('button', { type: 'button', class: 'quiet key', on: { click: () => this.dialog.open(keys.reason) } }, this.keyLabel)
  }

  #keyText() {
    return t(this.context.keys.value ? 'key.set' : 'key.none')
  }

  #keyChanged() {
    if (this.keyLabel) this.keyLabel.textContent = this.#keyText()
  }

  /** Not by the address, which would change. */
  #skip(event) {
    event.preventDefault()
    this.main.focus()
  }

  #markCurrent() {
    const path = this.context.router.path.replace(/\/$/, '')
    const current = path.startsWith('/page/songs') ? '/page' : path
    for (const link of this.links) {
      if (link.dataset.view === current) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
    }
  }

  async #speak(code) {
    try {
      await setLanguage(code)
    } catch {
      this.languages.querySelector('select').value = language()
      return this.showView(() => Promise.reject(), [], { takesFocus: true })
    }
    this.context.store.set('language', code)
    this.show()
    this.showView(this.shown.load, this.shown.parameters, { takesFocus: false })
    this.languages.querySelector('select').focus()
  }

  #theme(name) {
    this.theme = THEMES.includes(name) ? name : 'auto'
    this.context.store.set('theme', this.theme)
    document.documentElement.dataset.theme = this.theme
  }

  #down() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => { this.notice.hidden = false }, QUIET_MS)
  }

  #up() {
    clearTimeout(this.timer)
    if (this.notice.hidden) return
    this.notice.hidden = true
    announce(t('connection.back'))
  }
}

/** Shown for a view that this version of the page can't load any more. */
const updated = {
  show(main) {
    main.append(
      el('h1', { tabindex: '-1' }, t('shell.updated')),
      el('p', {}, t('shell.updatedHelp')),
      el('div', { class: 'actions' }, el('button', { type: 'button', class: 'primary', on: { click: () => location.reload() } }, t('shell.reload'))))
    return () => {}
  },
}

function choice(label, options, value, onChange) {
  return el('label', { class: 'choice' },
    el('span', { class: 'unseen' }, label),
    el('select', { on: { change: (event) => onChange(event.target.value) } },
      ...options.map(([name, text]) => el('option', { value: name, selected: name === value, lang: name in LANGUAGES ? name : null }, text))),
  )
}

function mark() {
  return el('span', { class: 'mark', 'aria-hidden': true }, ...['a', 'b', 'c', 'd'].map((name) => el('span', { class: `bar ${name}` })))
}
