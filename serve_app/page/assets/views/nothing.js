// What is shown for an address at which there is nothing.

import { el } from '../lib/dom.js'
import { t } from '../lib/texts.js'

/** @param {Element} main @param {any} context */
export function show(main, { router, title }) {
  const place = (path, text) => el('a', { href: router.href(path), dataset: { view: path } }, text)
  title(t('nothing.title'))
  main.append(
    el('h1', { tabindex: '-1' }, t('nothing.title')),
    el('p', {}, t('nothing.help', { path: location.pathname })),
    el('ul', {}, el('li', {}, place('/page', t('nav.songs'))), el('li', {}, place('/page/operations', t('nav.operations')))))
  return () => {}
}
