// Numbers and times as people of the page's language write them.

import { language } from './texts.js'

const cache = new Map()

function formatter(kind, options) {
  const name = `${language()} ${kind.name} ${JSON.stringify(options)}`
  if (!cache.has(name)) cache.set(name, new kind(language(), options))
  return cache.get(name)
}

/** @param {number} value @param {Intl.NumberFormatOptions} [options] */
export function number(value, options = { maximumFractionDigits: 1 }) {
  return formatter(Intl.NumberFormat, options).format(value)
}

/** A share from 0 to 1 in per cent. @param {number} share */
export function percent(share) {
  return number(share, { style: 'percent', maximumFractionDigits: 0 })
}

/** A position or length, such as 3:27 or 1:02:03. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds))
  const two = (value) => String(value).padStart(2, '0')
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

/** A length of time in words, to its largest unit: 40 seconds, 3 minutes. @param {number} seconds */
export function span(seconds) {
  const [unit, size] = seconds < 90 ? ['second', 1] : seconds < 5400 ? ['minute', 60] : ['hour', 3600]
  const maximumFractionDigits = unit === 'hour' ? 1 : 0
  return number(seconds / size, { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits })
}

/** A size in the units of the API's limits: 50 MiB. @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return number(bytes, { style: 'unit', unit: 'byte', unitDisplay: 'long' })
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let power = -1
  // As it is shown: not 1,024 KiB, but 1 MiB.
  do { bytes /= 1024; power += 1 } while (Math.round(bytes) >= 1024 && power < units.length - 1)
  return `${number(bytes, { maximumFractionDigits: bytes < 100 ? 1 : 0 })} ${units[power]}`
}

/** By how much a factor below 1 lowers a sound, in dB. @param {number} factor */
export function decibels(factor) {
  // At least what can be shown: it is lowered.
  return number(Math.max(0.1, -20 * Math.log10(factor)))
}

/** Things one after the other: a, b and c. @param {string[]} items */
export function list(items) {
  return formatter(Intl.ListFormat, { type: 'conjunction' }).format(items)
}

/** The time of day, with the date if it is not today. @param {string | Date} time */
export function moment(time) {
  const date = new Date(time)
  const isToday = date.toDateString() === new Date().toDateString()
  const day = isToday ? {} : { day: 'numeric', month: 'short' }
  return formatter(Intl.DateTimeFormat, { ...day, hour: '2-digit', minute: '2-digit' }).format(date)
}

/**
 * A title on one line, without characters that reverse the text around it.
 * @param {string} name
 */
export function tidy(name) {
  // The same characters that the server removes from titles.
  return name.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').replace(/[\u202a-\u202e\u2066-\u2069]/g, '').trim()
}
