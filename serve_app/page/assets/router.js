// The address and the view that belongs to it, without reloading the page.

/** Shows the view of the address; `context.router` of the views. */
export class Router {
  /**
   * @param {string} root the path before all paths
   * @param {Array<{pattern: RegExp, load: () => Promise<{show: Function}>}>} routes the last is for all paths
   */
  constructor(root, routes) {
    this.root = root
    this.routes = routes
  }

  /** The address of a path of the page. @param {string} path */
  href(path) {
    return this.root + path
  }

  /** The path of the present address, without the root. */
  get path() {
    return location.pathname.slice(this.root.length)
  }

  /** Show the present view, and those that people go to. @param {import('./shell.js').Shell} shell */
  start(shell) {
    this.shell = shell
    // Not for another fragment of the same view.
    addEventListener('popstate', () => { if (this.path !== this.shown) this.show() })
    document.addEventListener('click', (event) => this.#follow(event))
    return this.show({ isFirst: true })
  }

  /** Go to a path of the page. @param {string} path */
  go(path) {
    history.pushState(null, '', this.href(path))
    scrollTo(0, 0)
    this.show()
  }

  /** @param {{isFirst?: boolean}} [options] the first view does not take the focus */
  show({ isFirst = false } = {}) {
    const { load, parameters } = this.#found()
    this.shown = this.path
    return this.shell?.showView(load, parameters, { takesFocus: !isFirst })
  }

  #found() {
    for (const { pattern, load } of this.routes) {
      const match = pattern.exec(this.path)
      if (match) return { load, parameters: match.slice(1).map(decoded) }
    }
    throw new Error(`No route is for ${this.path}.`)
  }

  /** Show a link to a view here, unless it shall open elsewhere. */
  #follow(event) {
    const link = event.target instanceof Element && event.target.closest('a[data-view]')
    if (!link || event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    this.go(link.dataset.view)
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
