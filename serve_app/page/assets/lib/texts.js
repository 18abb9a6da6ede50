// All words of the page, in the language that was chosen.

import en from '../texts/en.js'
import playerEn from '../texts/player.en.js'

/** Languages by code, with their own names. */
export const LANGUAGES = { en: 'English', id: 'Bahasa Indonesia', ko: '한국어' }

/** The texts of the languages that were loaded. @type {Record<string, Record<string, string>>} */
const TEXTS = { en: { ...en, ...playerEn } }
/** What the API says in English, in the languages that were loaded. @type {Record<string, Record<string, string>>} */
const SENTENCES = {}
let chosen = 'en'

/** The code of the page's language. */
export function language() {
  return chosen
}

/**
 * Use a language from now on. Rejects if its texts can't be loaded, as after an update of the server.
 * @param {string} code one of LANGUAGES; others are English
 */
export async function setLanguage(code) {
  const known = Object.hasOwn(LANGUAGES, code) ? code : 'en'
  if (!TEXTS[known]) await load(known)
  chosen = known
}

async function load(code) {
  const kinds = ['', 'player.', 'models.']
  const loaded = await Promise.all(kinds.map((kind) => import(`../texts/${kind}${code}.js`)))
  const [page, player, models] = loaded.map((each) => each.default)
  TEXTS[code] = { ...page, ...player }
  SENTENCES[code] = models
}

/** The first of a browser's languages that the page has. @param {readonly string[]} codes */
export function preferred(codes) {
  const known = codes.map((code) => code.toLowerCase().split('-')[0])
  // Browsers once called Indonesian `in`.
  return known.map((code) => (code === 'in' ? 'id' : code)).find((code) => Object.hasOwn(LANGUAGES, code)) ?? 'en'
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

/**
 * What the API says of a model, in the page's language; undefined for a sentence that this does not know.
 * @param {string} sentence
 */
export function translated(sentence) {
  if (chosen === 'en') return sentence
  for (const [english, other] of Object.entries(SENTENCES[chosen])) {
    if (sentence === english) return other
    const [before, after] = english.split('{names}')
    if (after === undefined || !sentence.startsWith(before) || !sentence.endsWith(after)) continue
    const names = sentence.slice(before.length, sentence.length - after.length).split(' or ')
    return other.replace('{names}', new Intl.ListFormat(chosen, { type: 'disjunction' }).format(names))
  }
  return undefined
}

function found(name, count) {
  const plain = TEXTS[chosen][name] ?? TEXTS.en[name]
  if (plain !== undefined || typeof count !== 'number') return plain
  const texts = TEXTS[chosen]
  return texts[`${name}.${new Intl.PluralRules(chosen).select(count)}`] ?? texts[`${name}.other`] ?? TEXTS.en[`${name}.other`]
}
