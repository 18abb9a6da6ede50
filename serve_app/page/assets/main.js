// The page: its parts, made once, and the view that belongs to the address.

import { Api } from './lib/api.js'
import { History } from './lib/history.js'
import { Keys } from './lib/keys.js'
import { pause } from './lib/pause.js'
import { Store } from './lib/store.js'
import { preferred, setLanguage, t } from './lib/texts.js'
import { Uploads } from './lib/uploads.js'
import { Router } from './router.js'
import { Shell } from './shell.js'
import * as operations from './views/operations.js'
import * as song from './views/song.js'
import * as start from './views/start.js'

const STARTING_MS = 1000
const ROUTES = [
  { pattern: /^\/page\/?$/, view: start },
  { pattern: /^\/page\/songs\/([^/]+)\/?$/, view: song },
  { pattern: /^\/page\/operations\/?$/, view: operations },
]

const root = (document.querySelector('meta[name="stemserve-root"]')?.getAttribute('content') ?? '').replace(/\/+$/, '')
const store = new Store(root)
const keys = new Keys(store)
const api = new Api(root, keys)
const history = new History(store)
const uploads = new Uploads(api)
const router = new Router(root, ROUTES)
const context = { api, keys, history, uploads, store, t, router, samples: new Map() }
const shell = new Shell(context)

setLanguage(store.get('language') ?? preferred(navigator.languages))
uploads.addEventListener('sent', (event) => {
  const { job } = /** @type {CustomEvent} */ (event).detail
  history.note({ ...job, created_at: new Date().toISOString() })
})
addEventListener('beforeunload', (event) => { if (uploads.isBusy) event.preventDefault() })
shell.show()
router.start(shell)
askIfRequired()

/** Ask for a key at once where nothing works without one. */
async function askIfRequired() {
  let health = await api.patiently('/health')
  while (health.access === undefined) {
    // The server is starting, and does not know it yet.
    await pause(STARTING_MS)
    health = await api.patiently('/health')
  }
  if (health.access === 'required' && !keys.value) await keys.ask('').catch(() => {})
}
