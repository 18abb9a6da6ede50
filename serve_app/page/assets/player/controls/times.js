// @ts-check
// Times as people read and write them.

/** Return a time such as 1:23.4; with hours where there are any. @param {number} seconds @param {number} [decimals] */
export function clock(seconds, decimals = 0) {
  const unit = 10 ** decimals
  const units = Math.floor(Math.max(seconds, 0) * unit + 1e-6)
  const whole = Math.floor(units / unit)
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor(whole / 60) % 60
  const parts = hours ? [hours, two(minutes), two(whole % 60)] : [minutes, two(whole % 60)]
  const fraction = decimals ? `.${String(units % unit).padStart(decimals, '0')}` : ''
  return parts.join(':') + fraction
}

/** Return the seconds of a time such as 83.4, 1:23.4 or 1:02:03, or null. @param {string} text */
export function parseClock(text) {
  const match = /^\s*(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d*)?)\s*$/.exec(text)
  if (!match) return null
  const [, hours = '0', minutes = '0', seconds] = match
  return 3600 * Number(hours) + 60 * Number(minutes) + Number(seconds.replace(',', '.'))
}

/** @param {number} number */
function two(number) {
  return String(number).padStart(2, '0')
}
