// @ts-check
// The list of keys, and the switch that turns them off.

import { el } from '../../lib/dom.js'

const KEYS = [
  ['player.key.space', 'player.keyPlay'],
  ['← →', 'player.keyBeat'],
  ['Shift + ← →', 'player.keyBar'],
  ['Home, End', 'player.keyEnds'],
  ['L', 'player.keyLoop'],
  ['M 1–9', 'player.keyMute'],
  ['S 1–9', 'player.keySolo'],
  ['+ −', 'player.keyZoom'],
  ['0', 'player.keyWhole'],
  ['player.key.drag', 'player.keyDrag'],
  ['player.key.wheel', 'player.keyWheel'],
  ['?', 'player.keyHelp'],
]

/** Return a dialog with all keys. @param {(name: string) => string} t @param {(isOn: boolean) => void} onSwitch */
export function helpDialog(t, onSwitch) {
  const rows = KEYS.map(([keys, text]) =>
    el('div', { class: 'key-row' }, el('dt', {}, el('kbd', {}, keys.startsWith('player.') ? t(keys) : keys)), el('dd', {}, t(text))))
  const box = el('input', { type: 'checkbox', checked: true })
  box.addEventListener('change', () => onSwitch(box.checked))
  const close = el('button', { type: 'button', on: { click: () => dialog.close() } }, t('player.close'))
  const dialog = el(
    'dialog',
    { class: 'keys', 'aria-label': t('player.keys') },
    el('h2', {}, t('player.keys')),
    el('dl', {}, ...rows),
    el('label', { class: 'keys-switch' }, box, t('player.keysOn')),
    close,
  )
  return dialog
}
