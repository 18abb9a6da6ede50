// The shell's module of this name, as far as the player needs it.

export class ApiError extends Error {
  constructor(status, code, detail, retryAfterSeconds) {
    super(detail)
    Object.assign(this, { status, code, detail, retryAfterSeconds })
  }
}

export class Api {
  constructor(root) {
    this.root = root
  }

  url(path) {
    return this.root + path
  }

  async link(path) {
    return this.url(path)
  }

  async bytes(path, { start = 0, end, headers = {}, signal } = {}) {
    const range = `bytes=${start}-${end === undefined ? '' : end - 1}`
    const response = await fetch(this.url(path), { headers: { ...headers, Range: range }, signal })
    if (response.status === 206 || response.status === 200) return response
    const { code, detail } = await response.json()
    throw new ApiError(response.status, code, detail, null)
  }
}
