// The only module that creates elements. Text becomes text nodes; nothing parses HTML.

const SVG = 'http://www.w3.org/2000/svg'
const SAFE_LINKS = new Set(['http:', 'https:', 'blob:'])

/**
 * Create an element.
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes by name; `class`, `dataset`, `on`
 *   (listeners by event) and `style` (CSS properties by name) as well
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children)
}

/**
 * Create an element of SVG.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...any} children
 * @returns {any}
 */
export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children)
}

/**
 * Remove all children.
 * @param {Element} node
 */
export function clear(node) {
  node.replaceChildren()
  return node
}

let clearing = 0

/**
 * Have screen readers say a text when they have finished what they say now.
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById('announcer')
  if (!region) return
  // Emptied first: a text that is there already would not be said again.
  region.textContent = ''
  clearTimeout(clearing)
  clearing = setTimeout(() => { region.textContent = text }, 50)
}

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value)
  node.append(...children.filter(isShown).map((child) => (child instanceof Node ? child : String(child))))
  return node
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false
}

function set(node, name, value) {
  if (name === 'on') {
    for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener)
  } else if (name === 'dataset') {
    Object.assign(node.dataset, value)
  } else if (name === 'style') {
    for (const [property, each] of Object.entries(value)) node.style.setProperty(property, each)
  } else {
    setAttribute(node, name, value)
  }
}

function setAttribute(node, name, value) {
  if (/^on|^srcdoc$/i.test(name)) throw new TypeError(`${name} would run text as code. Use the property "on".`)
  if (/^(href|src|action|formaction)$/i.test(name)) checkLink(name, value)
  // Attributes of ARIA say "false"; others are left out.
  if (typeof value === 'boolean' && name.startsWith('aria-')) value = String(value)
  if (value === false || value === null || value === undefined) return
  node.setAttribute(name, value === true ? '' : value)
}

function checkLink(name, value) {
  const { protocol } = new URL(value, document.baseURI)
  if (!SAFE_LINKS.has(protocol)) throw new TypeError(`${name} must be an http or https URL, got ${protocol}`)
}
