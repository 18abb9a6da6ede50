// Errors of the API: application/problem+json, or what a proxy says.

const TEMPORARY = new Set([408, 429, 502, 503, 504])

/** An answer of the API that is not the wanted one. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail what is wrong and what to do, as the API says it
   * @param {number | null} retryAfterSeconds
   * @param {string} field the form field that is wrong, or ''
   */
  constructor(status, code, detail, retryAfterSeconds = null, field = '') {
    super(detail)
    this.status = status
    this.code = code
    this.detail = detail
    this.retryAfterSeconds = retryAfterSeconds
    this.field = field
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return TEMPORARY.has(this.status)
  }
}

/**
 * Return the error in a response.
 * @param {Response} response
 */
export async function problem(response) {
  const body = await json(response)
  const after = Number.parseFloat(response.headers.get('Retry-After') ?? '')
  const where = body.errors?.[0]?.loc?.at(-1)
  return new ApiError(
    response.status,
    body.code ?? 'unknown',
    body.detail ?? `${response.status} ${response.statusText}`.trim(),
    Number.isFinite(after) ? after : null,
    typeof where === 'string' ? where : '',
  )
}

/** The body as an object; empty for the HTML of a proxy. */
async function json(response) {
  try {
    return Object(await response.json())
  } catch {
    return {}
  }
}
