// The dialog in which a person gives the API key.

import { clear, el } from './lib/dom.js'
import { t } from './lib/texts.js'

/** Opens when a key is asked for; tries a key before it is used. */
export class KeyDialog {
  /** @param {any} context */
  constructor({ api, keys }) {
    this.api = api
    this.keys = keys
    keys.addEventListener('ask', () => this.open(keys.reason))
  }

  build() {
    const isOpen = this.node?.open
    this.field = el('input', {
      id: 'key', type: 'password', name: 'key', autocomplete: 'off', spellcheck: 'false',
      required: true, 'aria-describedby': 'key-error key-help',
    })
    this.keep = el('input', { type: 'checkbox', checked: this.keys.isKept })
    this.error = el('p', { id: 'key-error', class: 'error', role: 'alert' })
    this.node = el('dialog', { 'aria-labelledby': 'key-title', on: { close: () => this.keys.decline() } },
      el('form', { on: { submit: (event) => this.#submit(event) } },
        el('h2', { id: 'key-title' }, t('key.title')),
        el('p', { id: 'key-help', class: 'muted' }, t('key.help')),
        el('label', { for: 'key' }, t('key.label')), this.field, this.error,
        el('label', { class: 'check' }, this.keep, t('key.keep')),
        this.buttons = el('div', { class: 'actions' })),
    )
    if (isOpen) queueMicrotask(() => this.open(this.keys.reason))
    return this.node
  }

  /** @param {string} reason why a key is needed, as the API says it */
  open(reason) {
    clear(this.error).append(reason)
    clear(this.buttons).append(
      el('button', { class: 'primary' }, t('key.use')),
      el('button', { type: 'button', on: { click: () => this.node.close() } }, t('action.close')),
      ...(this.keys.value ? [el('button', { type: 'button', class: 'danger', on: { click: () => this.#forget() } }, t('key.forget'))] : []),
    )
    this.keep.checked = this.keys.isKept
    if (!this.node.open) this.node.showModal()
    this.field.focus()
    this.field.select()
  }

  #forget() {
    this.field.value = ''
    this.keys.forget()
    this.node.close()
  }

  async #submit(event) {
    event.preventDefault()
    const key = this.field.value.trim()
    const refusal = key ? await this.#refusal(key) : t('key.empty')
    if (refusal) {
      clear(this.error).append(refusal)
      this.field.setAttribute('aria-invalid', 'true')
      this.field.focus()
      return
    }
    this.field.removeAttribute('aria-invalid')
    this.field.value = ''
    this.keys.reason = ''
    this.keys.use(key, this.keep.checked)
    this.node.close()
  }

  /** Why the server refuses a key; '' if it does not. */
  async #refusal(key) {
    // Headers can't carry other characters.
    if (!/^[!-~]+$/.test(key)) return t('key.characters')
    try {
      const response = await fetch(this.api.url('/whoami'), { headers: { 'X-API-Key': key }, cache: 'no-store' })
      return response.status === 401 ? (await response.json()).detail : ''
    } catch {
      return t('connection.lost')
    }
  }
}
