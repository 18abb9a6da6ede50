// Server-sent events of a response, as the HTML standard defines them.

/**
 * Yield the messages of a stream: `data` with the last `id`, or the `retry` in ms, or a comment.
 * An event that the stream does not finish is dropped.
 * @param {ReadableStream<Uint8Array>} stream
 */
export async function* messages(stream) {
  let message = { data: [] }
  let id = ''
  for await (const line of lines(stream)) {
    if (line === '') {
      if (message.data.length > 0) yield { id, data: message.data.join('\n') }
      message = { data: [] }
      continue
    }
    const [name, value] = field(line)
    if (name === '') yield { comment: value }
    else if (name === 'data') message.data.push(value)
    else if (name === 'id' && !value.includes('\0')) id = value
    else if (name === 'retry' && /^\d+$/.test(value)) yield { retry: Number(value) }
  }
}

function field(line) {
  const colon = line.indexOf(':')
  if (colon < 0) return [line, '']
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
}

/**
 * Yield the complete lines, which end in LF, CRLF or CR.
 * @param {ReadableStream<Uint8Array>} stream
 */
async function* lines(stream) {
  // It also drops a byte order mark.
  const decoder = /** @type {ReadableWritablePair<string, Uint8Array>} */ (new TextDecoderStream())
  const reader = stream.pipeThrough(decoder).getReader()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      text += value
      // A CR at the end may be half of a CRLF.
      const parts = text.split(/\r\n|\n|\r(?!$)/)
      text = parts.pop() ?? ''
      yield* parts
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
