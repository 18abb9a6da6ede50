// @ts-check
// The beats, bars and sections of an analysis, by time.

/** @typedef {{start: number, end: number, label: string}} Section */

/** The tempos that the grid can be read at, relative to the analysis: a person may hear half or double. */
export const TEMPO_FACTORS = [1, 0.5, 2]

/** The beat grid of a song at a tempo factor; without an analysis it is empty. */
export class Beats {
  /** @param {any} analysis @param {number} [factor] one of TEMPO_FACTORS */
  constructor(analysis, factor = 1) {
    const beats = analysis?.beats ?? []
    const downbeats = analysis?.downbeats ?? []
    /** Beats in seconds. */
    this.times = Float64Array.from(factor === 2 ? doubled(beats) : factor === 0.5 ? halved(beats, downbeats) : beats)
    /** First beats of bars in seconds. */
    this.bars = Float64Array.from(downbeats)
    /** @type {Section[]} */
    this.sections = (analysis?.sections ?? []).map((/** @type {any} */ section) => ({
      start: section.start_seconds,
      end: section.end_seconds,
      label: section.label,
    }))
  }

  /** The beat after or before a time, or null. @param {number} seconds @param {1 | -1} direction */
  beatFrom(seconds, direction) {
    return neighbour(this.times, seconds, direction)
  }

  /** The bar after or before a time, or null. @param {number} seconds @param {1 | -1} direction */
  barFrom(seconds, direction) {
    return neighbour(this.bars, seconds, direction)
  }

  /** The start of the bar that a time is in, and the end of the last of `count` bars from there; null without bars.
   * @param {number} seconds @param {number} count */
  barsAt(seconds, count) {
    const first = Math.max(firstFrom(this.bars, seconds + 0.001) - 1, 0)
    const last = Math.min(first + count, this.bars.length - 1)
    return last > first ? { start: this.bars[first], end: this.bars[last] } : null
  }
}

/** The index of the first time that is not before a time. @param {Float64Array} times in order @param {number} seconds */
export function firstFrom(times, seconds) {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle] < seconds) low = middle + 1
    else high = middle
  }
  return low
}

/** @param {Float64Array} times @param {number} seconds @param {1 | -1} direction */
function neighbour(times, seconds, direction) {
  // A position on a beat is that beat, also if it was rounded.
  const index = direction > 0 ? firstFrom(times, seconds + 0.02) : firstFrom(times, seconds - 0.02) - 1
  return index >= 0 && index < times.length ? times[index] : null
}

/** @param {number[]} beats */
function doubled(beats) {
  return beats.flatMap((beat, index) => (index + 1 < beats.length ? [beat, (beat + beats[index + 1]) / 2] : [beat]))
}

/** @param {number[]} beats @param {number[]} downbeats */
function halved(beats, downbeats) {
  const first = Math.max(beats.indexOf(downbeats[0]), 0)
  return beats.filter((_, index) => (index - first) % 2 === 0)
}
