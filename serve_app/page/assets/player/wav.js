// @ts-check
// Wav files: the header, and PCM as numbers.
// RIFF WAVE (IBM and Microsoft 1991), WAVE_FORMAT_EXTENSIBLE, and RF64 (EBU Tech 3306).

const PCM = 1
const IEEE_FLOAT = 3
const EXTENSIBLE = 0xfffe
// In a size of 32 bits: the size is in the `ds64` chunk, or unknown.
const NOT_HERE = 0xffffffff

/** The file is not a wav that can be played; `message` says why. */
export class WavError extends Error {
  name = 'WavError'
}

/** The chunk's data begins after the bytes at hand: read at least `bytes` bytes. */
export class WavNeedsMore extends WavError {
  /** @param {number} bytes */
  constructor(bytes) {
    super(`The header of the wav has at least ${bytes} bytes.`)
    this.bytes = bytes
  }
}

/**
 * @typedef {object} WavHeader
 * @property {number} rate samples a second
 * @property {number} channels
 * @property {number} bits of a sample: 16, 24 or 32
 * @property {boolean} isFloat
 * @property {number} offset the first byte of the samples
 * @property {number} samples of each channel
 * @property {number} frameBytes the bytes of one sample of all channels
 */

/**
 * Return the header of a wav from its first bytes.
 * @param {ArrayBuffer} buffer
 * @param {number} fileBytes the size of the whole file; a larger size of the samples is cut to it
 * @returns {WavHeader}
 */
export function parseHeader(buffer, fileBytes) {
  const view = new DataView(buffer)
  const riff = tag(view, 0)
  if ((riff !== 'RIFF' && riff !== 'RF64') || tag(view, 8) !== 'WAVE') {
    throw new WavError('The file is not a wav: it does not begin with RIFF or RF64 and WAVE.')
  }
  let format = null
  let longBytes = NaN
  for (let at = 12; ;) {
    const name = tag(view, at)
    const size = uint32(view, at + 4)
    const start = at + 8
    if (name === 'fmt ') format = parseFormat(view, start, size)
    if (name === 'ds64') longBytes = dataBytes64(view, start, size)
    if (name === 'data') {
      if (format === null) throw new WavError('The wav has samples before their format.')
      const bytes = size === NOT_HERE ? longBytes || fileBytes : size
      return finished(format, start, Math.min(bytes, fileBytes - start))
    }
    at = start + size + (size % 2)
    if (at >= fileBytes) throw new WavError('The wav has no samples.')
  }
}

/**
 * Write the samples of each channel, from -1 to 1 and times a gain.
 * @param {Uint8Array} bytes at the beginning of their buffer
 * @param {WavHeader} header
 * @param {number} gain
 * @param {Float32Array[]} channels as long as there are samples
 */
export function writeFloats(bytes, header, gain, channels) {
  const samples = Math.floor(bytes.length / header.frameBytes)
  const read = header.isFloat ? readFloats : header.bits === 16 ? read16 : read24
  read(bytes.buffer, channels, samples, gain)
}

/** @param {DataView} view @param {number} start @param {number} size */
function parseFormat(view, start, size) {
  need(view, start + Math.min(size, 40))
  if (size < 16) throw new WavError(`The wav's format has ${size} bytes: at least 16 are needed.`)
  let code = view.getUint16(start, true)
  const channels = view.getUint16(start + 2, true)
  const rate = view.getUint32(start + 4, true)
  const bits = view.getUint16(start + 14, true)
  // The first two bytes of the sub-format's GUID are the code.
  if (code === EXTENSIBLE && size >= 40) code = view.getUint16(start + 24, true)
  check(code, channels, rate, bits)
  const frameBytes = (channels * bits) / 8
  const stated = view.getUint16(start + 12, true)
  if (stated !== frameBytes) {
    throw new WavError(`The wav states ${stated} bytes a frame, but its format has ${frameBytes}.`)
  }
  return { rate, channels, bits, isFloat: code === IEEE_FLOAT, frameBytes }
}

/** @param {number} code @param {number} channels @param {number} rate @param {number} bits */
function check(code, channels, rate, bits) {
  const isKnown = (code === PCM && (bits === 16 || bits === 24)) || (code === IEEE_FLOAT && bits === 32)
  if (!isKnown) {
    throw new WavError(
      `The wav has format ${code} with ${bits} bits: PCM of 16 or 24 bits and floats of 32 can be played.`,
    )
  }
  if (channels < 1 || channels > 2) throw new WavError(`The wav has ${channels} channels: 1 or 2 can be played.`)
  if (rate < 1) throw new WavError('The wav has a sample rate of 0 Hz.')
}

/** @param {DataView} view @param {number} start @param {number} size */
function dataBytes64(view, start, size) {
  if (size < 24) throw new WavError(`The wav's ds64 chunk has ${size} bytes: at least 24 are needed.`)
  need(view, start + 16)
  return Number(view.getBigUint64(start + 8, true))
}

/** @param {Omit<WavHeader, 'offset' | 'samples'>} format @param {number} offset @param {number} bytes */
function finished(format, offset, bytes) {
  return { ...format, offset, samples: Math.max(0, Math.floor(bytes / format.frameBytes)) }
}

/** @param {DataView} view @param {number} at */
function tag(view, at) {
  need(view, at + 4)
  return String.fromCharCode(...[0, 1, 2, 3].map(byte => view.getUint8(at + byte)))
}

/** @param {DataView} view @param {number} at */
function uint32(view, at) {
  need(view, at + 4)
  return view.getUint32(at, true)
}

/** @param {DataView} view @param {number} end */
function need(view, end) {
  if (end > view.byteLength) throw new WavNeedsMore(end)
}

/** @param {ArrayBufferLike} buffer @param {Float32Array[]} channels @param {number} samples @param {number} gain */
function read16(buffer, channels, samples, gain) {
  const from = new Int16Array(buffer, 0, samples * channels.length)
  const scale = gain / 2 ** 15
  channels.forEach((to, channel) => {
    for (let sample = 0, at = channel; sample < samples; sample++, at += channels.length) {
      to[sample] = from[at] * scale
    }
  })
}

/** @param {ArrayBufferLike} buffer @param {Float32Array[]} channels @param {number} samples @param {number} gain */
function read24(buffer, channels, samples, gain) {
  const from = new Uint8Array(buffer)
  const step = 3 * channels.length
  const scale = gain / 2 ** 31
  channels.forEach((to, channel) => {
    for (let sample = 0, at = 3 * channel; sample < samples; sample++, at += step) {
      // In the upper 24 of 32 bits, so that the sign is right.
      to[sample] = ((from[at] << 8) | (from[at + 1] << 16) | (from[at + 2] << 24)) * scale
    }
  })
}

/** @param {ArrayBufferLike} buffer @param {Float32Array[]} channels @param {number} samples @param {number} gain */
function readFloats(buffer, channels, samples, gain) {
  const from = new Float32Array(buffer, 0, samples * channels.length)
  channels.forEach((to, channel) => {
    for (let sample = 0, at = channel; sample < samples; sample++, at += channels.length) {
      to[sample] = from[at] * gain
    }
  })
}
