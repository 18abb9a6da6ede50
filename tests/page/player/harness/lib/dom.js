// The shell's module of this name, as far as the player needs it.

const SVG = 'http://www.w3.org/2000/svg'

export function el(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children)
}

export function svg(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children)
}

export function clear(node) {
  node.replaceChildren()
  return node
}

export function announce(text) {
  document.getElementById('announcer').textContent = text
}

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props)) set(node, name, value)
  node.append(...children.filter(child => child !== null && child !== undefined && child !== false).map(child => (child instanceof Node ? child : String(child))))
  return node
}

function set(node, name, value) {
  if (name === 'on') for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener)
  else if (name === 'dataset') Object.assign(node.dataset, value)
  else if (name === 'style') for (const [property, each] of Object.entries(value)) node.style.setProperty(property, each)
  else if (typeof value === 'boolean' && name.startsWith('aria-')) node.setAttribute(name, String(value))
  else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value)
}
