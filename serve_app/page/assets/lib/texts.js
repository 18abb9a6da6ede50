// All words of the page, in the language that was chosen.

import en from '../texts/en.js'
import id from '../texts/id.js'
import ko from '../texts/ko.js'
import playerEn from '../texts/player.en.js'
import playerId from '../texts/player.id.js'
import playerKo from '../texts/player.ko.js'

/** Languages by code, with their own names. */
export const LANGUAGES = { en: 'English', id: 'Bahasa Indonesia', ko: '한국어' }

const TEXTS = {
  en: { ...en, ...playerEn },
  id: { ...id, ...playerId },
  ko: { ...ko, ...playerKo },
}
let chosen = 'en'

/** The code of the page's language. */
export function language() {
  return chosen
}

/** @param {string} code one of LANGUAGES; others are English */
export function setLanguage(code) {
  chosen = code in TEXTS ? code : 'en'
}

/** The first of a browser's languages that the page has. @param {readonly string[]} codes */
export function preferred(codes) {
  const known = codes.map((code) => code.toLowerCase().split('-')[0])
  // Browsers once called Indonesian `in`.
  return known.map((code) => (code === 'in' ? 'id' : code)).find((code) => code in TEXTS) ?? 'en'
}

/**
 * A text in the page's language, or in English. `{name}` in it is replaced by a value.
 *
 * With a `count`, the text is `name.one`, `name.other` or another of the language's plurals.
 * @param {string} name
 * @param {Record<string, string | number>} [values]
 */
export function t(name, values = {}) {
  const text = found(name, values.count) ?? name
  return text.replace(/\{(\w+)\}/g, (whole, key) => {
    const value = values[key]
    if (value === undefined) return whole
    return typeof value === 'number' ? new Intl.NumberFormat(chosen).format(value) : value
  })
}

/** Whether there is a text, for names that come from the API. @param {string} name */
export function has(name) {
  return found(name) !== undefined
}

function found(name, count) {
  const plain = TEXTS[chosen][name] ?? TEXTS.en[name]
  if (plain !== undefined || typeof count !== 'number') return plain
  const texts = TEXTS[chosen]
  return texts[`${name}.${new Intl.PluralRules(chosen).select(count)}`] ?? texts[`${name}.other`] ?? TEXTS.en[`${name}.other`]
}
