// Stands in for the player: says what it was given, and lets a test mute a stem.

import { el } from '../lib/dom.js'

export function mountPlayer(container, { job }) {
  const gains = {}
  const shown = el('p', { class: 'player-state' }, job.status)
  const rows = el('div', { class: 'actions' })
  container.append(shown, rows)
  const update = (now) => {
    shown.textContent = now.status
    if (rows.childElementCount) return
    for (const name of Object.keys(now.stems ?? {})) {
      gains[name] = 1
      const button = el('button', { type: 'button', 'aria-pressed': false, on: { click: () => {
        gains[name] = 1 - gains[name]
        button.setAttribute('aria-pressed', String(gains[name] === 0))
      } } }, `Mute ${name}`)
      rows.append(button)
    }
  }
  update(job)
  return { update, gains: () => ({ ...gains }), close: () => container.replaceChildren() }
}
