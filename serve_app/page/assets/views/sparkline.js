// A small line of the last values.

import { svg } from '../lib/dom.js'

const WIDTH = 120
const HEIGHT = 28

/**
 * @param {Array<number | null>} values oldest first; null where one is missing
 * @param {string} label
 */
export function sparkline(values, label) {
  const known = values.filter((value) => value !== null)
  const most = Math.max(...known, 0) || 1
  const step = WIDTH / Math.max(1, values.length - 1)
  const points = values.map((value, index) => (value === null ? null : `${(index * step).toFixed(1)},${height(value / most)}`))
  return svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' },
    ...lines(points).map((line) => svg('polyline', { points: line.join(' '), 'vector-effect': 'non-scaling-stroke' })))
}

function height(share) {
  return (HEIGHT - 2 - share * (HEIGHT - 4)).toFixed(1)
}

/** The stretches without gaps. */
function lines(points) {
  const found = [[]]
  for (const point of points) {
    if (point === null) found.push([])
    else found.at(-1).push(point)
  }
  return found.filter((line) => line.length > 1)
}
