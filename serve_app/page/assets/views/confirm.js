// A question before what can't be undone.

import { el } from '../lib/dom.js'
import { t } from '../lib/texts.js'

/**
 * Ask; return whether the person agrees.
 * @param {string} question
 * @param {string} action what happens then, on the button
 * @returns {Promise<boolean>}
 */
export function confirmed(question, action) {
  return new Promise((resolve) => {
    const dialog = el('dialog', { 'aria-labelledby': 'question', on: { close: () => { dialog.remove(); resolve(dialog.returnValue === 'yes') } } },
      el('form', { method: 'dialog' },
        el('p', { id: 'question' }, question),
        el('div', { class: 'actions' },
          el('button', { value: 'no', autofocus: true }, t('action.keep')),
          el('button', { value: 'yes', class: 'danger' }, action))))
    document.body.append(dialog)
    dialog.showModal()
  })
}
