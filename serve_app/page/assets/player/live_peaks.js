// @ts-check
// The waveform of what a running job has played: the service makes one once its files are complete.

// Finer than the pixels of most songs in view; a song of two hours takes 360 kB.
const COLUMNS_A_SECOND = 50
const FULL = 254

/** The amplitudes of one stem, as far as it is loaded. */
export class LivePeaks {
  /** 0 where nothing is loaded, else one more than the amplitude from 0 to `FULL`. */
  #columns

  /** @param {number} duration of the song in seconds */
  constructor(duration) {
    this.#columns = new Uint8Array(Math.ceil(duration * COLUMNS_A_SECOND))
  }

  /** Take samples. @param {number} seconds where they begin in the song @param {number} rate @param {Float32Array[]} channels */
  add(seconds, rate, channels) {
    const first = Math.round(seconds * COLUMNS_A_SECOND)
    const size = rate / COLUMNS_A_SECOND
    const count = Math.ceil(channels[0].length / size)
    for (let column = 0; column < count; column++) {
      const [from, to] = [column, column + 1].map(edge => Math.round(edge * size))
      const peaks = channels.map(channel => largest(channel.subarray(from, to)))
      this.#columns[first + column] = 1 + Math.round(Math.min(Math.max(...peaks), 1) * FULL)
    }
  }

  /** Return the largest amplitude from a time to another, 0 to 1, or null if nothing is loaded there.
   * @param {number} start @param {number} end in seconds */
  amplitude(start, end) {
    const first = Math.floor(start * COLUMNS_A_SECOND)
    const last = Math.max(Math.ceil(end * COLUMNS_A_SECOND), first + 1)
    let found = 0
    for (let column = first; column < last; column++) found = Math.max(found, this.#columns[column] ?? 0)
    return found ? (found - 1) / FULL : null
  }
}

/** @param {Float32Array} samples */
function largest(samples) {
  let found = 0
  for (const sample of samples) found = Math.max(found, Math.abs(sample))
  return found
}
